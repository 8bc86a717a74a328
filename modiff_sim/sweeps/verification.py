"""The check of all results below a folder, which goes on whatever it meets."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from .files import is_regular
from .rowlog import ASIDE, CLAIMS, Entry, noted, parsed, whole_lines
from .store import FILES, KEYED, LOG, PART, WALLTIME, StoreError, manifest_of, verify_one


def verify(root: str | Path) -> tuple[int, list[str]]:
    """Check every result, every log of rows and every table below a folder.

    Links are followed. What cannot be read is named, and the check goes on.

    Parameters
    ----------
    root : str or Path
        The folder; StoreError where there is none.

    Returns
    -------
    count : int
        Number of results and logs.
    wrong : list of str
        What is wrong, in the order of the paths: files that were changed, are missing, or are in a result's folder
        and unknown to its manifest; manifests that were changed; results without a manifest; damaged lines of a
        log; rows whose arrays are missing or different; and arrays without a row.

    Examples
    --------
    >>> import tempfile
    >>> from modiff_sim import sweeps
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stored = sweeps.Store(folder).save("cells", {"seed": 0})
    ...     _ = (stored.path / "rows.json").write_text("[1]")
    ...     count, wrong = sweeps.verify(folder)
    >>> count, wrong[0].endswith("rows.json: sha256 differs from the manifest")
    (1, True)
    """
    root = Path(root)
    if not root.is_dir():
        raise StoreError(f"{root} is not a folder")
    count, wrong, been = 0, [], set()
    unread: list[OSError] = []
    for place, folders, files in os.walk(root, followlinks=True, onerror=unread.append):
        here, really = Path(place), os.path.realpath(place)
        if really in been:  # reached by a link, perhaps in a circle
            folders.clear()
            continue
        been.add(really)
        here = Path(really) if here.is_symlink() else here  # a link to a result may have another name
        folders[:] = sorted(name for name in folders if not name.startswith(PART))
        there = {*folders, *files}
        if "manifest.json" in there:
            count += 1
            wrong += _asked(verify_one, here)
        elif KEYED.fullmatch(here.name) and not here.name.startswith(".") and (not there or there & {*FILES, WALLTIME}):
            wrong.append(f"{here}: no manifest")
        count += sum(name.endswith(LOG) for name in there)
        for name in sorted({_swept(name) for name in there} - {""}):
            wrong += _asked(partial(_log, name=name), here)
    return count, sorted(wrong) + [f"{error.filename}: cannot be read ({error.strerror})" for error in unread]


def _asked(check: Callable[[Path], list[str]], folder: Path) -> list[str]:
    """Check one entry; whatever it raises becomes a sentence, so that the others are checked as well."""
    try:
        return check(folder)
    except Exception as error:
        return [f"{folder}: cannot be checked ({type(error).__name__}: {error})"]


def _swept(name: str) -> str:
    """Return the name of the sweep whose log, or file beside its log, has this name; "" for other files."""
    for ending in (LOG, ASIDE):
        if name.endswith(ending):
            return name.removesuffix(ending)
    return name[1:].removesuffix(CLAIMS) if name.startswith(".") and name.endswith(CLAIMS) else ""


def _log(folder: Path, name: str) -> list[str]:
    """Return damaged lines of a log, and rows and arrays that do not belong together.

    A torn last line is an interrupted write, which is not an error.
    """
    path = folder / f"{name}{LOG}"
    if os.path.lexists(path) and not is_regular(path):
        return [f"{path}: not a file"]
    found: dict[str, Entry] = {}
    wrong = []
    for number, line in enumerate(whole_lines(path.read_bytes()) if path.exists() else [], 1):
        where = f"{path}, line {number}"
        try:
            key, entry = parsed(line, where)
        except StoreError as error:
            wrong.append(str(error))
            continue
        if found.setdefault(key, entry) != entry:
            wrong.append(f"{where}: a second, other row of point {key}")
        elif entry.arrays:
            wrong += _arrays(folder / f"{name}-{key}", entry, where)
    return wrong + _rowless(folder, name, found)


def _arrays(folder: Path, entry: Entry, where: str) -> list[str]:
    try:
        stated = manifest_of(folder)["sha256"].get("arrays.npz")
    except (OSError, ValueError):
        stated = None
    if stated != entry.arrays:
        return [f"{where}: its arrays in {folder} are missing or different"]
    try:
        rows = (
            json.loads((folder / "rows.json").read_text(encoding="utf-8")) if is_regular(folder / "rows.json") else None
        )
    except (OSError, ValueError, RecursionError):  # which is named with the folder
        rows = None
    return [] if rows == [entry.row] else [f"{where}: its row differs from the one beside its arrays in {folder}"]


def _rowless(folder: Path, name: str, found: dict[str, Entry]) -> list[str]:
    """Return the points that were finished but lack a row, according to arrays and to what was noted about them."""
    of_this = re.compile(re.escape(name) + "-([0-9a-f]{16})")
    keys = {m.group(1) for p in folder.iterdir() if (m := of_this.fullmatch(p.name)) and p.is_dir()}
    again = "a run was stopped here, or lines are lost; running it again finds or makes them"
    log = folder / f"{name}{LOG}"
    wrong = [f"{folder / f'{name}-{key}'}: arrays without a row in {log}: {again}" for key in sorted(keys - {*found})]
    lost = noted(folder / f"{name}{ASIDE}").keys() - found.keys() - keys
    return wrong + [f"{log}: no row of point {key}, which was finished: {again}" for key in sorted(lost)]
