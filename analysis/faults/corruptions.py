"""Damage to the files of a finished sweep, one kind after another, which ``modiff_sim.sweeps.verify`` must name.

Some damage is harmless by design (wall times, a torn last line, temporary files): there ``verify`` must name nothing.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from modiff_sim.sweeps import sweep
from modiff_sim.sweeps.files import digest_of
from modiff_sim.sweeps.rowlog import Entry, line_of
from modiff_sim.sweeps.store import Store, npz_bytes
from modiff_sim.sweeps.verification import verify

from . import Attempt

NAME = "small"
POINTS = [{"seed": i, "quantizer": {"bits": 3 + i % 2}} for i in range(4)]


def compute(point: sweep.Point) -> sweep.Output:
    """Return a row and an array. The label has letters beyond ASCII."""
    made = np.random.default_rng(point["seed"]).standard_normal(8)
    return sweep.Output({"mean": float(made.mean()), "label": "größte", "seen": None}, {"x": made})


def whole(folder: Path) -> None:
    """Make a finished sweep: ``store`` with its results and its log, and ``table`` with the table made from them."""
    rows = sweep.run(POINTS, compute, Store(folder / "store"), name=NAME, workers=1)
    sweep.table(POINTS, rows, folder / "table", name=NAME)


# -- what is done to it ----------------------------------------

Damage = Callable[[Path, random.Random], object]


def _result(folder: Path, chance: random.Random) -> Path:
    return chance.choice(sorted((folder / "store").glob(f"{NAME}-*")))


def _log(folder: Path) -> Path:
    return folder / "store" / f"{NAME}.rows.jsonl"


def _bit(file: Path, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def _cut(file: Path, chance: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: chance.randrange(len(content))])


def _grow(file: Path, chance: random.Random) -> None:
    file.write_bytes(file.read_bytes() + b"\0" * chance.randint(1, 9))


def _empty(file: Path, chance: random.Random) -> None:
    file.write_bytes(b"")


def _delete(file: Path, chance: random.Random) -> None:
    file.unlink()


def _to_folder(file: Path, chance: random.Random) -> None:
    file.unlink()
    file.mkdir()


def _to_fifo(file: Path, chance: random.Random) -> None:
    file.unlink()
    os.mkfifo(file)


def _to_broken_link(file: Path, chance: random.Random) -> None:
    file.unlink()
    file.symlink_to("nowhere")


WAYS: dict[str, Callable[[Path, random.Random], object]] = {
    "a flipped bit in": _bit, "cut short:": _cut, "lengthened:": _grow, "emptied:": _empty, "deleted:": _delete,
    "a folder in the place of": _to_folder, "a FIFO in the place of": _to_fifo,
    "a broken link in the place of": _to_broken_link,
}  # fmt: skip


def _edited(change: Callable[[dict], object], where: str = "result") -> Damage:
    """Return a damage that changes a manifest and writes it in the same form."""

    def damage(folder: Path, chance: random.Random) -> None:
        file = (_result(folder, chance) if where == "result" else folder / "table") / "manifest.json"
        about = json.loads(file.read_text(encoding="utf-8"))
        change(about)
        file.write_text(json.dumps(about, sort_keys=True, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    return damage


def _replaced(old: bytes, new: bytes, file: Callable[[Path], Path]) -> Damage:
    def damage(folder: Path, chance: random.Random) -> None:
        path = file(folder)
        content = path.read_bytes()
        assert old in content, path
        path.write_bytes(content.replace(old, new, 1))

    return damage


def _lines(change: Callable[[list[bytes]], list[bytes]]) -> Damage:
    """Return a damage that changes the lines of the log."""

    def damage(folder: Path, chance: random.Random) -> None:
        path = _log(folder)
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    return damage


def _row(line: bytes, **changed: object) -> bytes:
    """Return the line with another row and the right checksum."""
    about = json.loads(line)
    return line_of(about["key"], Entry(about["row"] | changed, about["arrays"]))


def _other_array(folder: Path, chance: random.Random) -> None:
    """Write another array under the right name, with its sum in the manifest."""
    place = _result(folder, chance)
    content = npz_bytes({"x": np.zeros(8)})
    (place / "arrays.npz").write_bytes(content)
    about = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    about["sha256"]["arrays.npz"] = digest_of(content)
    (place / "manifest.json").write_text(json.dumps(about), encoding="utf-8")


def _swapped(folder: Path, chance: random.Random) -> None:
    one, two = chance.sample(sorted((folder / "store").glob(f"{NAME}-*")), 2)
    (one / "arrays.npz").rename(folder / "kept")
    (two / "arrays.npz").rename(one / "arrays.npz")
    (folder / "kept").rename(two / "arrays.npz")


def _renamed(folder: Path, chance: random.Random) -> None:
    place = _result(folder, chance)
    place.rename(place.with_name(NAME + "-0123456789abcdef"))


def _elsewhere(folder: Path, chance: random.Random) -> None:
    """Move the store, put a link in its place, and damage a file behind the link."""
    (folder / "store").rename(folder.with_name(folder.name + "-elsewhere"))
    (folder / "store").symlink_to(folder.with_name(folder.name + "-elsewhere"))
    _bit(_result(folder, chance) / "arrays.npz", chance)


def _ways() -> dict[str, Damage]:
    """Return name -> a way to damage a file, for every file of a result and of a table, and for the log."""
    found: dict[str, Damage] = {}
    for way, change in WAYS.items():
        for file in ("arrays.npz", "rows.json", "manifest.json"):
            found[f"{way} {file}"] = lambda f, c, change=change, file=file: change(_result(f, c) / file, c)
        for file in (f"{NAME}.csv", f"{NAME}.json", "manifest.json"):
            found[f"{way} table/{file}"] = lambda f, c, change=change, file=file: change(f / "table" / file, c)
        if way not in ("lengthened:",):  # a torn last line is an interrupted write
            found[f"{way} the log"] = lambda f, c, change=change: change(_log(f), c)
    del found["deleted: table/manifest.json"]  # without it the folder is not a table, but somebody's own files
    del found["a broken link in the place of table/manifest.json"]
    return found


#: what the manifest of one result holds, see ``_manifest``
SEED = b'"seed": 1'


def _manifest(folder: Path) -> Path:
    return next(p for p in sorted((folder / "store").glob("*/manifest.json")) if SEED in p.read_bytes())


def damages() -> dict[str, Damage]:
    """Return name -> damage that ``verify`` must name."""
    return _ways() | {
        "another seed in a manifest": _replaced(SEED, b'"seed": 2', _manifest),
        "a second seed in a manifest": _replaced(SEED, b'"seed": 2, "seed": 1', _manifest),
        "another version in a manifest": _edited(lambda m: m["versions"].update(numpy="0.1")),
        "another name in a manifest": _edited(lambda m: m.update(name="large")),
        "a sum less in a manifest": _edited(lambda m: m["sha256"].pop("rows.json")),
        "no sums in a manifest": _edited(lambda m: m.update(sha256={})),
        "sums that are no words": _edited(lambda m: m["sha256"].update({"rows.json": 3})),
        "sums that are a list": _edited(lambda m: m.update(sha256=["rows.json"])),
        "a note in a manifest": _edited(lambda m: m.update(note="checked by hand")),
        "a result declared to be files": _edited(lambda m: m.update(kind="files")),
        "a result of an unknown kind": _edited(lambda m: m.update(kind="other")),
        "files declared to be a result": _edited(lambda m: m.pop("kind"), "table"),
        "another seed in a table's manifest": _edited(lambda m: m["params"].update(seed=9), "table"),
        "another number of points in a table's manifest": _edited(lambda m: m.update(points=99), "table"),
        "other points in a table's manifest": _edited(lambda m: m.update(keys_sha256="0" * 64), "table"),
        "another version in a table's manifest": _edited(lambda m: m["versions"].update(torch="0.1"), "table"),
        "a sum less in a table's manifest": _edited(lambda m: m["sha256"].pop(f"{NAME}.csv"), "table"),
        "no sum of itself in a table's manifest": _edited(lambda m: m.pop("manifest_sha256"), "table"),
        "a file outside of the folder": _edited(lambda m: m["sha256"].update({"../count": digest_of(b"")}), "table"),
        "a file by its whole path": _edited(lambda m: m["sha256"].update({"/etc/hostname": digest_of(b"")}), "table"),
        "a name with a NUL": _edited(lambda m: m["sha256"].update({"a\0b": digest_of(b"")}), "table"),
        "a name of a thousand letters": _edited(lambda m: m["sha256"].update({"a" * 1000: digest_of(b"")}), "table"),
        "NaN among the parameters": _replaced(SEED, b'"seed": NaN', _manifest),
        "an integer of 5,000 digits": _replaced(SEED, b'"seed": ' + b"1" * 5000, _manifest),
        "half of a surrogate pair": _replaced(SEED, b'"seed": "\\ud800"', _manifest),
        "a manifest nested 100,000 deep": _replaced(SEED, b'"seed": ' + b"[" * 100_000, _manifest),
        "another array with its sum": _other_array,
        "arrays of two results swapped": _swapped,
        "a renamed result": _renamed,
        "a result deleted": lambda f, c: shutil.rmtree(_result(f, c)),
        "a file more in a result": lambda f, c: (_result(f, c) / "more.npz").write_bytes(b""),
        "a folder more in a result": lambda f, c: (_result(f, c) / "more").mkdir(),
        "a damaged store behind a link": _elsewhere,
        "a line less in the log": _lines(lambda ls: ls[1:]),
        "the last line of the log deleted": _lines(lambda ls: ls[:-1]),
        "the last line of the log torn": _lines(lambda ls: [*ls[:-1], ls[-1][: len(ls[-1]) // 2]]),
        "two lines of the log joined": _lines(lambda ls: [ls[0][:-1], *ls[1:]]),
        "a line in the middle torn": _lines(lambda ls: [ls[0], ls[1][:20] + b"\n", *ls[2:]]),
        "an empty line in the log": _lines(lambda ls: [ls[0], b"\n", *ls[1:]]),
        "NULs at the start of the log": _lines(lambda ls: [b"\0" * 512, *ls]),
        "Windows' line ends in the log": _lines(lambda ls: [line[:-1] + b"\r\n" for line in ls]),
        "a byte order mark in the log": _lines(lambda ls: [b"\xef\xbb\xbf" + ls[0], *ls[1:]]),
        "the log in Latin-1": _lines(lambda ls: [line.decode().encode("latin-1") for line in ls]),
        "mojibake in the log": _lines(lambda ls: [line.decode("latin-1").encode() for line in ls]),
        "another number in a row": _replaced(b'"mean": ', b'"mean": 1', _log),
        "another row with its sum": _lines(lambda ls: [_row(ls[0], mean=0.5), *ls[1:]]),
        "a second, other row of a point": _lines(lambda ls: [*ls, _row(ls[0], mean=0.5)]),
        "a row of a point that never was": _lines(lambda ls: [*ls, line_of("0" * 16, Entry({"x": 1}, "0" * 64))]),
        "all rows lost, and their log": lambda f, c: _log(f).unlink(),
    }  # fmt: skip


def harmless() -> dict[str, Damage]:
    """Return name -> change that is harmless: no checksum covers what it changes, or nothing that counts changes."""
    return {
        "other wall times": lambda f, c: (_result(f, c) / "walltime.json").write_text("{", encoding="utf-8"),
        "no wall times": lambda f, c: (_result(f, c) / "walltime.json").unlink(),
        "a damaged line of measurements": lambda f, c: _bit(f / "store" / f"{NAME}.aside.jsonl", c),
        "no measurements": lambda f, c: (f / "store" / f"{NAME}.aside.jsonl").unlink(),
        "a torn line after the last": _lines(lambda ls: [*ls, ls[0][:-9]]),
        "a line twice": _lines(lambda ls: [*ls, ls[0]]),
        "the lines of the log in another order": _lines(lambda ls: ls[::-1]),
        "an unfinished result": lambda f, c: (f / "store" / ".part-abcdefgh").mkdir(),
        "a link to the folder above": lambda f, c: (f / "table" / "up").symlink_to(f),
        "a file more beside the results": lambda f, c: (f / "store" / "notes.txt").write_bytes(b"\xff"),
    }


def attempts(times: int, seed: int, folder: Path) -> Iterator[Attempt]:
    """Yield ``times`` attempts, every damage in turn and at least once. The seed draws the places."""
    base = folder / "whole"
    whole(base)
    listed = [(name, damage, True) for name, damage in damages().items()]
    listed += [(name, change, False) for name, change in harmless().items()]
    for i in range(max(times, len(listed))):
        name, damage, named = listed[i % len(listed)]
        place = folder / f"{i}"
        shutil.copytree(base, place, symlinks=True)
        damage(place, random.Random(f"{seed} {i}"))
        try:
            count, problems = verify(place)
        except Exception as error:
            yield Attempt(name, f"the check ended with {type(error).__name__}: {error}", False)
            continue
        went_on = count >= len(POINTS) - 1
        said = ("named" if problems else "nothing named") + ("" if went_on else ", and the check did not go on")
        yield Attempt(name, said, bool(problems) == named and went_on)
        shutil.rmtree(place)
        shutil.rmtree(f"{place}-elsewhere", ignore_errors=True)
