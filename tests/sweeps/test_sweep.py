"""Sweeps: order, keys, failures, sharing; what kills them is in test_kill.py, what carries them in test_parallel.py."""

import csv
import json
import shutil
import threading

import numpy as np
import pytest

from analysis.faults import driver
from analysis.faults.driver import NAME
from analysis.faults.waiting import begun, wait_for
from modiff_sim.sweeps import rowlog, sweep
from modiff_sim.sweeps.rowlog import Claims, Entry, RowLog
from modiff_sim.sweeps.store import Store, StoreError
from modiff_sim.sweeps.sweep import Output, SweepError, run, table
from modiff_sim.sweeps.verification import verify


@pytest.fixture(autouse=True)
def count(tmp_path, monkeypatch):
    file = tmp_path / "count"
    file.touch()
    monkeypatch.setenv("COUNT", str(file))
    return file


def computed(count):
    return [index for index, _ in begun(count)]


def small(store, points=None, compute=driver.compute, **options):
    return run(points or driver.points(), compute, store, name=NAME, **({"workers": 1} | options))


# -- what comes back ----------------------------------------


def test_rows_come_in_the_order_of_the_points_and_each_point_is_computed_once(tmp_path, count):
    points, store = driver.points(), Store(tmp_path / "s")
    rows = small(store, points[::-1])
    assert small(store, points) == rows[::-1]
    assert len(computed(count)) == len(points)
    assert len({row["error"] for row in rows}) == len(points)
    first = store.load(NAME, points[0]).arrays["error_inf"]
    assert rows[-1] == {"error": first.max(), "label": "größte"}
    assert verify(tmp_path / "s") == (len(points) + 1, [])


def test_more_points_and_points_given_twice(tmp_path, count):
    store, points = Store(tmp_path / "s"), driver.points()
    few = small(store, points[2:4])
    assert small(store, [points[3], *points, points[3]])[1:-1][2:4] == few
    assert len(computed(count)) == len(points)
    assert small(store, points[:1], workers=2) == small(store, points)[:1]
    assert run([], driver.compute, store, name="none") == []


def test_rows_without_arrays_need_no_folder(tmp_path):
    store = Store(tmp_path)
    points = [{"seed": i} for i in range(3)]
    assert run(points, _row_only, store, name="rows", workers=1) == [{"twice": 2 * i} for i in range(3)]
    assert {p.name for p in tmp_path.iterdir()} == {"rows.rows.jsonl", "rows.aside.jsonl", ".rows.claims", "count"}
    assert verify(tmp_path) == (1, [])
    noted = sweep.asides([*points, {"seed": 9}], store, name="rows")
    assert [each["bytes"] for each in noted] == [0, 1, 2]
    assert all(each["seconds"] >= 0 for each in noted)
    with open(tmp_path / "rows.aside.jsonl", "a", encoding="utf-8") as file:
        file.write('{"key": "torn')
    assert sweep.asides(points, store, name="rows") == noted
    assert sweep.asides(points, store, name="other") == []


def _row_only(point):
    return Output({"twice": np.int64(2 * point["seed"])}, aside={"bytes": point["seed"]})


def test_bad_points_are_named_and_the_others_kept(tmp_path, count, monkeypatch):
    store = Store(tmp_path / "s")
    with monkeypatch.context() as patched:
        patched.setenv("BAD", "1")
        with pytest.raises(
            SweepError, match=r"2 of 8 points failed: 6 of 8 points are kept.*\"seed\": 1.*no such point"
        ):
            small(store)
    assert len(computed(count)) == 8
    small(store)
    assert len(computed(count)) == 10  # the two alone


@pytest.mark.parametrize(
    ("output", "match"),
    [
        ({"error": 1.0}, r"must return an Output\(row, arrays\), got dict"),
        (Output({"error": float("nan")}), "Out of range float"),
        (Output({}, {"x": np.array([None])}), "'x' is not a NumPy array of numbers"),
        (Output({}, {"x": [1.0]}), "'x' is not a NumPy array of numbers"),
    ],
)
def test_what_cannot_be_stored_is_a_failed_point(tmp_path, output, match):
    with pytest.raises(SweepError, match=match):
        run([{"seed": 0}], lambda point: output, Store(tmp_path), name="x", workers=1)
    assert not (tmp_path / "x.rows.jsonl").exists()
    assert verify(tmp_path)[1] == []


def test_names_and_workers_are_checked(tmp_path):
    for name in ("", "a/b", "../a", ".hidden"):
        with pytest.raises(ValueError, match="becomes a file name"):
            run([], driver.compute, Store(tmp_path), name=name)
    with pytest.raises(ValueError, match="workers must be at least 1"):
        small(Store(tmp_path), workers=0)
    with pytest.raises(ValueError, match="Out of range float"):
        run([{"x": float("inf")}], driver.compute, Store(tmp_path), name="x")


def test_a_point_that_does_not_decide_its_result_is_found(tmp_path):
    """Deleted arrays that are computed again to something else do not fit the row."""
    made = iter(range(5))
    store, points = Store(tmp_path), [{"seed": 0}]

    def compute(point):
        return Output({"n": 1}, {"x": np.full(2, next(made))})

    run(points, compute, store, name="x", workers=1)
    shutil.rmtree(store.path("x", points[0]))
    with pytest.raises(StoreError, match=r"gave another row before: its parameters do not decide it"):
        run(points, compute, store, name="x", workers=1)
    log = RowLog(tmp_path / "log")
    log.append("k", Entry({"n": 1}))
    with pytest.raises(StoreError, match="gave another row before"):
        log.append("k", Entry({"n": 2}))


# -- the log ----------------------------------------


def test_a_torn_last_line_is_cut_off_and_other_damage_is_named(tmp_path):
    path = tmp_path / "a.rows.jsonl"
    log = RowLog(path)
    for i in range(3):
        log.append(f"k{i}", Entry({"i": i, "text": "ä\u2028\u0085x"}))  # line ends elsewhere, none in a log
    whole = path.read_bytes()
    assert (
        RowLog(path).entries()
        == log.entries()
        == {f"k{i}": Entry({"i": i, "text": "ä\u2028\u0085x"}) for i in range(3)}
    )
    for cut in (1, 20, len(whole) // 3 - 1):
        path.write_bytes(whole[:-cut])
        torn = RowLog(path)
        assert list(torn.entries()) == ["k0", "k1"]
        assert verify(tmp_path) == (1, [])
        torn.append("k2", Entry({"i": 2, "text": "ä\u2028\u0085x"}))
        assert path.read_bytes() == whole
    for place in (5, len(whole) // 2, len(whole) - 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        line = whole[:place].count(b"\n") + 1
        with pytest.raises(StoreError, match=rf"a\.rows\.jsonl, line {line}: a damaged row; delete this line"):
            RowLog(path).entries()
        ((problem),) = verify(tmp_path)[1]
        assert f"line {line}: a damaged row" in problem


def test_a_deleted_line_comes_back_from_its_arrays_and_deleted_arrays_are_computed_again(tmp_path, count):
    store, points = Store(tmp_path / "s"), driver.points()
    rows = small(store)
    log = tmp_path / "s" / f"{NAME}.rows.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert small(store) == rows
    assert len(computed(count)) == 8
    folder = store.path(NAME, points[5])
    (folder / "arrays.npz").write_bytes(b"x")
    assert len(verify(tmp_path / "s")[1]) == 1
    (folder / "arrays.npz").unlink()
    (folder / "manifest.json").unlink()
    found = verify(tmp_path / "s")[1]
    assert found == [f"{folder}: no manifest", f"{log}, line 5: its arrays in {folder} are missing or different"]
    assert small(store) == rows
    assert len(computed(count)) == 9
    assert verify(tmp_path / "s") == (9, [])
    (folder / "arrays.npz").write_bytes(b"x")
    log.write_bytes(b"".join(lines[:4]))
    with pytest.raises(StoreError, match=r"sha256 differs.*delete the folder and run again"):
        small(store)


def test_an_unknown_file_in_a_result_is_named(tmp_path):
    small(Store(tmp_path / "s"), driver.points()[:1])
    folder = Store(tmp_path / "s").path(NAME, driver.points()[0])
    (folder / "extra.bin").touch()
    assert verify(tmp_path / "s")[1] == [f"{folder / 'extra.bin'}: unknown to the manifest"]


def test_many_threads_append_to_one_log_each_row_once(tmp_path):
    path, objects = tmp_path / "log", 4

    def write(log, start):
        for i in range(20):
            log.append(f"k{(start + i) % 20}", Entry({"i": (start + i) % 20}))

    logs = [RowLog(path) for _ in range(objects)]
    threads = [threading.Thread(target=write, args=(logs[i % objects], 3 * i)) for i in range(2 * objects)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 20
    assert {rowlog.parsed(line, "here")[0] for line in lines} == {f"k{i}" for i in range(20)}


def test_a_claimed_point_waits_for_its_owner(tmp_path, count):
    """Another process works on point 0; when it gives up without a row, the point is ours."""
    store, points = Store(tmp_path / "s"), driver.points()
    k = sweep.key(NAME, points[0])
    others = Claims(store.root / f".{NAME}.claims")
    assert others.take(k)
    assert not others.take(k)

    def give_up():
        wait_for(lambda: len(computed(count)) == 7)
        others.give_up_all()

    owner = threading.Thread(target=give_up)
    owner.start()
    rows = small(store)
    owner.join()
    assert computed(count)[-1] == 0  # last, though it is the first
    assert len(computed(count)) == 8
    assert small(store) == rows


# -- the table ----------------------------------------


def test_the_table_names_what_differs_and_its_manifest_what_does_not(tmp_path):
    points = driver.points()
    rows = small(Store(tmp_path / "s"), points)
    folder = table(points, rows, tmp_path / "t", name=NAME)
    with open(folder / f"{NAME}.csv", newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["seed", "quantizer.bits", "error", "label"]
    assert [float(line["error"]) for line in lines] == [row["error"] for row in rows]
    assert (
        json.loads((folder / f"{NAME}.json").read_text(encoding="utf-8"))[3]
        == {"seed": 1, "quantizer.bits": 4} | rows[3]
    )
    about = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert about["params"] == {"steps": 6, "trials": 8, "threads": 1, "dtype": "float64"}
    assert about["points"] == 8
    assert verify(folder) == (1, [])
    (folder / f"{NAME}.csv").write_text("seed\n", encoding="utf-8")
    assert verify(folder)[1] == [f"{folder / NAME}.csv: sha256 differs from the manifest"]
    with pytest.raises(ValueError, match="seed: both a parameter and a column"):
        table(points, [{"seed": 1}] * 8, folder, name=NAME)
    with pytest.raises(ValueError, match="zip"):
        table(points, rows[1:], folder, name=NAME)


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def _misbehaves(point):
    def leave():
        raise SystemExit(3)

    def unspeakable():
        raise Unspeakable

    how = {
        "aside": lambda: Output({"v": 1}, {}, {"peak": float("nan")}), "surrogate": lambda: Output({"v": "\udcff"}),
        "leave": leave, "unspeakable": unspeakable,
    }  # fmt: skip
    return how.get(point["how"], lambda: Output({"v": 0}))()


@pytest.mark.parametrize("how", ["aside", "surrogate", "leave", "unspeakable"])
def test_one_bad_point_is_named_and_the_others_go_on(tmp_path, how):
    points = [{"how": how}, {"how": "well", "i": 1}, {"how": "well", "i": 2}]
    with pytest.raises(SweepError, match=rf'1 of 3 points failed: 2 of 3 points are kept.*"how": "{how}"'):
        run(points, _misbehaves, Store(tmp_path), name="x", workers=1)


def test_without_locks_a_row_is_written_all_the_same(tmp_path, monkeypatch):
    from modiff_sim.sweeps import files

    def flock(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", flock)
    rows = small(Store(tmp_path / "s"))
    assert len(RowLog(tmp_path / "s" / f"{NAME}.rows.jsonl").entries()) == len(rows) == 8


def test_a_log_that_was_edited_at_the_same_length_is_mended(tmp_path):
    log = tmp_path / "x.rows.jsonl"
    times = []

    def compute(point):
        times.append(point["i"])
        if point["i"] == 2 and times.count(2) == 1:
            line = log.read_bytes().splitlines(keepends=True)[1]
            with open(log, "r+b") as file:
                file.write(line + line)
        return Output({"v": point["i"]})

    points = [{"i": i} for i in range(3)]
    assert run(points, compute, Store(tmp_path), name="x", workers=1) == [{"v": 0}, {"v": 1}, {"v": 2}]
    assert {entry.row["v"] for entry in RowLog(log).entries().values()} == {0, 1, 2}
