"""Results that were measured once at effort full and are committed: each is a file with its manifest.

Claims and figures on trained models take long to measure, so that effort quick shows what was measured before.
A manifest says which code and which versions made a result, and has the sha256 of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modiff_sim.sweeps.encoding import canonical
from modiff_sim.sweeps.store import StoreError, digest_of, verify_one, versions, write_atomic

from .code_key import source_of

THIS, OLDER = "this source", "an older source"


def save(path: Path, module: str, found: Mapping[str, Any], *, seconds: float) -> None:
    """Write a result as JSON, with what made it.

    Parameters
    ----------
    path : Path
        The file.
    module : str
        The module that measured it, whose code and whose imports are the result's source.
    found : mapping
        JSON values. NaN and Inf are not allowed.
    seconds : float
        How long it took.
    """
    about = {
        "effort": "full", "seconds": round(seconds, 1), "versions": versions(), "source": source_of(module),
        "check": own(module), "sha256": digest_of(canonical(found).encode()),
    }  # fmt: skip
    text = json.dumps({"manifest": about, "result": found}, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(path, text + "\n")


def own(module: str) -> str:
    """Return the sha256 of the code of a claim or figure and of what it shares with others in its package."""
    return source_of(module, within=module.partition(".")[0])


def load(path: Path, module: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the result and its manifest, to which "made by" is added: ``THIS`` or ``OLDER``.

    Raises StoreError where the file is missing or damaged, or the module itself now measures something else. Changes of
    the code below it leave the result and are told in "made by": whether they change numbers is checked by sampling
    some micro-batches again (claim ``committed_rows_reproduce``).
    """
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        about, found = kept["manifest"], kept["result"]
        whole = about["sha256"] == digest_of(canonical(found).encode())
        same = {name: about[name] == now for name, now in (("check", own(module)), ("source", source_of(module)))}
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{path} cannot be read ({type(error).__name__}: {error})") from None
    if not whole:
        raise StoreError(f"{path} is damaged: its sha256 is another than the manifest says")
    if not same["check"]:
        raise StoreError(f"{path} was measured by another {module}")
    return found, about | {"made by": THIS if same["source"] else OLDER}


def rows_manifest(place: Path, model_sha256: str, option: str) -> dict[str, Any]:
    """Return the manifest of a model's committed rows, after checking their checksums and the weights.

    ``option`` is that of the program by which the rows are measured again.

    Raises StoreError for missing or changed files, and for rows of other weights.
    """
    if problems := verify_one(place):
        raise StoreError(f"rows of {place.name!r}: {'; '.join(problems)}: measure them with {option}")
    about: dict[str, Any] = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    if about["model_sha256"] != model_sha256:
        raise StoreError(f"{place}: measured on other weights of {place.name}; measure the rows again with {option}")
    return about
