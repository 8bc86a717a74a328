"""A log that is deleted, replaced or shortened while it is open: it is read anew and never lengthened by NULs."""

import os
import shutil
import threading

import pytest

from modiff_sim.sweeps import sweep
from modiff_sim.sweeps.rowlog import Entry, RowLog, line_of, noted, parsed
from modiff_sim.sweeps.store import Store, StoreError

ROWS = {f"k{i}": Entry({"i": i, "label": "größte"}) for i in range(4)}


@pytest.fixture
def log(tmp_path):
    made = RowLog(tmp_path / "s" / "a.rows.jsonl")
    for key, entry in ROWS.items():
        made.append(key, entry)
    return made


def lines(log):
    return log.path.read_bytes().splitlines(keepends=True)


def deleted(path):
    path.unlink()


def emptied(path):
    path.write_bytes(b"")


def truncated(path):
    os.truncate(path, path.stat().st_size // 2)


def folder_deleted(path):
    shutil.rmtree(path.parent)


def a_line_deleted_in_place(path):
    content = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(content[1:]))


def a_line_deleted_by_an_editor(path):
    """Which writes a new file and moves it into place."""
    content = path.read_bytes().splitlines(keepends=True)
    path.with_suffix(".new").write_bytes(b"".join(content[1:]))
    os.replace(path.with_suffix(".new"), path)


def a_line_deleted_and_another_added(path):
    """So that the file is not shorter than it was."""
    content = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*content[1:], line_of("longer", Entry({"text": "x" * 99}))]))


def replaced_by_a_longer_one(path):
    os.replace(_other(path), path)


def _other(path):
    other = path.with_suffix(".other")
    other.write_bytes(b"".join(line_of(f"o{i}", Entry({"i": i})) for i in range(20)))
    return other


CHANGES = [
    deleted, emptied, truncated, folder_deleted, a_line_deleted_in_place, a_line_deleted_by_an_editor,
    a_line_deleted_and_another_added, replaced_by_a_longer_one,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_stands_in_the_log_counts(log, change):
    """Read or appended to first: the object knows what a new one reads, and the file holds whole lines only."""
    change(log.path)
    there = dict(RowLog(log.path).entries())
    assert log.entries() == there
    assert there != ROWS
    log.append("k9", Entry({"i": 9}))
    assert RowLog(log.path).entries() == there | {"k9": Entry({"i": 9})} == log.entries()
    assert all(parsed(line, "here") for line in lines(log))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_an_append_right_after_it(log, change):
    change(log.path)
    there = dict(RowLog(log.path).entries())
    log.append("k9", Entry({"i": 9}))
    log.append("k0", ROWS["k0"])
    assert RowLog(log.path).entries() == there | {"k9": Entry({"i": 9}), "k0": ROWS["k0"]} == log.entries()
    assert b"\0" not in log.path.read_bytes()


def test_deleted_while_its_lock_is_waited_for(log, monkeypatch):
    """Another process holds the lock, deletes the log and gives the lock back: the row goes into a new log."""
    from modiff_sim.sweeps.files import locked

    with open(log.path, "ab") as other, locked(other):
        thread = threading.Thread(target=log.append, args=("k9", Entry({"i": 9})))
        thread.start()
        thread.join(0.05)  # it may wait for the lock by now, or come later: the result is the same
        log.path.unlink()
    thread.join()
    assert RowLog(log.path).entries() == {"k9": Entry({"i": 9})} == log.entries()


def test_only_lines_as_they_were_written_are_read(log):
    good = lines(log)[0]
    for bad in (good[:-1] + b"\r\n", b"\xef\xbb\xbf" + good, b" " + good, b"[" * 100_000 + b"\n", b"null\n", b"\n"):
        with pytest.raises(StoreError, match="a damaged row; delete this line"):
            parsed(bad, "here")


def test_two_rows_of_one_point_are_an_error(log):
    with open(log.path, "ab") as file:
        file.write(lines(log)[0] + line_of("k0", Entry({"i": 5})))
    with pytest.raises(StoreError, match="line 6: a second, other row of point k0; delete one"):
        RowLog(log.path).entries()


# -- sweeps ----------------------------------------


class Loses:
    """Computes points, and at one of them does something to the log."""

    def __init__(self, path, change, at):
        self.path, self.change, self.at, self.computed = path, change, at, []

    def __call__(self, point):
        self.computed.append(point["seed"])
        if point["seed"] == self.at and self.computed.count(self.at) == 1:
            self.change(self.path)
        return sweep.Output({"twice": 2 * point["seed"], "text": "x" * point["seed"]})


@pytest.mark.parametrize("change", CHANGES[:-2], ids=lambda change: change.__name__)
@pytest.mark.parametrize("at", [2, 5])
def test_a_sweep_computes_once_more_what_was_lost(tmp_path, change, at):
    store, points = Store(tmp_path / "s"), [{"seed": i} for i in range(6)]
    compute = Loses(tmp_path / "s" / "x.rows.jsonl", change, at)
    rows = sweep.run(points, compute, store, name="x", workers=1)
    assert [row["twice"] for row in rows] == [0, 2, 4, 6, 8, 10]
    assert len(RowLog(compute.path).entries()) == 6
    assert set(compute.computed) == set(range(6))
    assert len(compute.computed) > 6


# -- what was measured ----------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        b"\xff\xfe\n", b"null\n", b"3\n", b"[]\n", b'{"key": [1]}\n', b'{"key": "a", "seconds": "no"}\n',
        b"[" * 99_999 + b"\n", b'{"seconds": 1}\n', b'{"key": "a", "seconds": 1}\n',
        b'{"key": "a", "seconds": 1e999}\n', b"1" * 5000 + b"\n",
    ],
    ids=repr,
)  # fmt: skip
def test_a_damaged_line_of_measurements_is_left_out(tmp_path, bad):
    store, points = Store(tmp_path), [{"seed": i} for i in range(3)]
    compute = Loses(tmp_path / "x.rows.jsonl", None, None)
    sweep.run(points, compute, store, name="x", workers=1)
    path = tmp_path / "x.aside.jsonl"
    content = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(content[0] + bad + content[1] + content[2][:-5])
    assert sweep.run(points, compute, store, name="x", workers=1)[2]["twice"] == 4
    assert len(sweep.asides(points, store, name="x")) == len(noted(path)) == 2
    path.unlink()
    path.mkdir()
    assert sweep.asides(points, store, name="x") == []
