"""Results on disk: keyed by content, atomic, checksummed, resumable, safe for two writers."""

import dataclasses
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import modiff_sim as ms
from modiff_sim.sweeps import store as storage
from modiff_sim.sweeps import sweep
from modiff_sim.sweeps.store import Store, StoreError, key, npz_bytes, verify_one, write_atomic
from modiff_sim.sweeps.verification import verify

PARAMS = {"quantizer": ms.AbsMax(4), "steps": 50, "seed": 0}
ARRAYS = {"error": np.arange(6.0).reshape(2, 3), "name": np.array(["a", "b"])}
ROWS = [{"step": 0, "error": 0.5}, {"step": 1, "error": None}]


def files(root):
    """Relative path -> content of every file below a folder."""
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(Path(root).rglob("*")) if p.is_file()}


def test_what_is_saved_comes_back(tmp_path):
    saved = Store(tmp_path).save("run", PARAMS, ARRAYS, ROWS, walltime=1.5)
    loaded = Store(tmp_path).load("run", PARAMS)
    for name, value in ARRAYS.items():
        assert np.array_equal(loaded.arrays[name], value)
        assert loaded.arrays[name].dtype == value.dtype
    assert loaded.rows == ROWS
    assert loaded.path == saved.path == Store(tmp_path).path("run", PARAMS)
    manifest = loaded.manifest
    assert manifest["params"]["quantizer"]["class"] == "AbsMax"
    assert manifest["params"]["seed"] == 0
    assert manifest["versions"]["numpy"] == np.__version__
    assert set(manifest["sha256"]) == {"arrays.npz", "rows.json"}


def test_same_content_same_bytes(tmp_path):
    """In another folder, saved in another order and at another time: all but the wall time is equal."""
    one = Store(tmp_path / "a").save("run", PARAMS, ARRAYS, ROWS, walltime=1.0)
    backwards = dict(reversed(ARRAYS.items()))
    two = Store(tmp_path / "b").save("run", dict(reversed(PARAMS.items())), backwards, ROWS, walltime=2.0)
    assert one.path.name == two.path.name
    a, b = files(one.path), files(two.path)
    assert a.pop("walltime.json") != b.pop("walltime.json")
    assert a == b
    assert os.stat(one.path).st_mode & 0o777 == 0o755  # readable by others, as a folder made by hand


@given(
    hnp.arrays(st.sampled_from([np.float32, np.float64, np.int64]), hnp.array_shapes(max_dims=3, max_side=4)),
    st.text("abcxyz_", min_size=1, max_size=8),
)
def test_npz_bytes_depend_on_the_arrays_alone(array, name):
    content = npz_bytes({name: array, "other": np.ones(2)})
    assert content == npz_bytes({"other": np.ones(2), name: array.copy()})
    assert content != npz_bytes({name: array, "other": np.zeros(2)})
    assert {i.date_time for i in zipfile.ZipFile(io.BytesIO(content)).infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(io.BytesIO(content)) as back:
        assert np.array_equal(back[name], array, equal_nan=True)


@pytest.mark.parametrize(
    "changed",
    [
        {"quantizer": ms.AbsMax(3)},
        {"quantizer": ms.MinMax(4)},
        {"quantizer": ms.AbsMax(4, granularity=ms.PerBatch())},
        {"steps": 51},
        {"seed": 1},
        {"extra": None},
    ],
    ids=str,
)
def test_the_key_depends_on_every_parameter(changed):
    assert key("run", PARAMS) != key("run", PARAMS | changed)
    assert key("run", PARAMS) != key("walk", PARAMS)
    assert len(key("run", PARAMS)) == 16


def test_the_key_depends_on_the_versions(monkeypatch):
    before = key("run", PARAMS)
    monkeypatch.setattr(storage, "versions", lambda: {"numpy": "0.0"})
    assert key("run", PARAMS) != before


def test_the_key_is_the_same_in_another_process():
    code = (
        "import modiff_sim as ms; from modiff_sim.sweeps.store import key; "
        "print(key('run', {'seed': 0, 'steps': 50, 'quantizer': ms.AbsMax(4)}))"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == key("run", PARAMS)


def test_plain_makes_json_of_what_parameters_are():
    @dataclasses.dataclass
    class Thing:
        size: int
        inner: object

    value = storage.plain({1: Thing(2, np.arange(2)), "t": (np.float32(0.5), None, True), "p": Path("x")})
    assert value == {"1": {"class": "Thing", "size": 2, "inner": [0, 1]}, "t": [0.5, None, True], "p": "x"}
    json.dumps(value)
    with pytest.raises(ValueError, match="Out of range float"):
        key("run", {"x": float("nan")})  # NaN is no parameter: it does not even equal itself


def test_an_existing_result_is_left_as_it_is(tmp_path):
    first = Store(tmp_path).save("run", PARAMS, {"x": np.ones(2)})
    again = Store(tmp_path).save("run", PARAMS, {"x": np.zeros(2)})
    assert np.array_equal(again.arrays["x"], np.ones(2))
    assert files(first.path) == files(again.path)


@pytest.mark.parametrize("name", ["sub/x", "../x", "", "a\\b", "a\0b", "a" * 250, ".part-x"])
def test_a_name_that_makes_no_file_name_is_refused_before_anything_is_written(tmp_path, name):
    store, computed = Store(tmp_path / "s"), []
    for act in (store.save, store.load, store.has, lambda n, p: store.get(n, p, lambda: computed.append(1))):
        with pytest.raises(ValueError, match="the name of a result becomes that of a folder"):
            act(name, PARAMS)
    with pytest.raises(ValueError, match="arrays have plain names"):
        store.save("run", PARAMS, {"sub/x": np.ones(2)})
    assert list(tmp_path.iterdir()) == []
    assert computed == []


def test_a_result_does_not_take_the_name_of_a_sweep(tmp_path):
    """Its arrays would have no row in the log of the sweep."""
    store, points, computed = Store(tmp_path), [{"seed": 0}], []
    rows = sweep.run(points, _point, store, name="swept", workers=1)
    assert store.save("swept", points[0]).rows == rows  # which is there already
    for act in (store.save, lambda n, p: store.get(n, p, lambda: computed.append(1))):
        with pytest.raises(ValueError, match=r"'swept' is the name of a sweep, whose rows are in .*: give the result"):
            act("swept", PARAMS)
    assert computed == []
    assert verify(tmp_path) == (2, [])
    store.save("saved", points[0], ARRAYS)
    with pytest.raises(StoreError, match=r"saved-\w+ is not a result of a sweep, which has one row: rename"):
        sweep.run(points, _point, store, name="saved", workers=1)


def _point(point):
    return sweep.Output({"seed": point["seed"]}, {"x": np.zeros(2)})


# -- killed writes ----------------------------------------


class Killed(BaseException):
    """Stands for a kill: nothing may catch it and go on."""


@pytest.mark.parametrize("at", ["arrays.npz", "rows.json", "walltime.json", "manifest.json", "rename"])
def test_a_killed_write_leaves_nothing_and_can_be_done_again(tmp_path, monkeypatch, at):
    real_write, real_rename = storage.write_atomic, os.rename

    def write(path, content):
        if path.name == at:
            raise Killed
        real_write(path, content)

    def rename(source, target):
        if at == "rename":
            raise Killed
        real_rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(storage, "write_atomic", write)
        patched.setattr(os, "rename", rename)
        with pytest.raises(Killed):
            Store(tmp_path).save("run", PARAMS, ARRAYS, ROWS)
    assert files(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []
    assert not Store(tmp_path).has("run", PARAMS)
    Store(tmp_path / "whole").save("run", PARAMS, ARRAYS, ROWS)
    Store(tmp_path).save("run", PARAMS, ARRAYS, ROWS)
    name = Store(tmp_path).path("run", PARAMS).name
    assert files(tmp_path / name) == files(tmp_path / "whole" / name)


def test_what_a_real_kill_leaves_is_no_result(tmp_path):
    """SIGKILL between two files: a hidden folder stays, is no result, is not counted by verify, and harms nothing."""
    code = (
        "import os, signal, sys, numpy as np; from modiff_sim.sweeps import store; real = store.write_atomic\n"
        "def write(path, content):\n"
        "    real(path, content)\n"
        "    if path.name == 'rows.json': os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.write_atomic = write\n"
        "store.Store(sys.argv[1]).save('run', {'seed': 0}, {'x': np.ones(2)})"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert ended.returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".part-")
    assert {p.name for p in left.iterdir()} == {"arrays.npz", "rows.json"}
    assert not Store(tmp_path).has("run", {"seed": 0})
    assert verify(tmp_path) == (0, [])
    Store(tmp_path).save("run", {"seed": 0}, {"x": np.ones(2)})
    assert verify(tmp_path) == (1, [])


def test_a_finished_part_that_was_not_moved_is_not_a_result(tmp_path):
    """Killed between manifest and rename: the hidden folder holds a manifest, and still is not found or counted."""
    Store(tmp_path).save("run", PARAMS, ARRAYS)
    os.rename(Store(tmp_path).path("run", PARAMS), tmp_path / ".part-abc")
    assert not Store(tmp_path).has("run", PARAMS)
    assert verify(tmp_path) == (0, [])


def test_a_folder_without_a_manifest_is_done_again(tmp_path):
    path = Store(tmp_path).path("run", PARAMS)
    path.mkdir()
    (path / "arrays.npz").write_bytes(b"half")
    assert not Store(tmp_path).has("run", PARAMS)
    assert Store(tmp_path).save("run", PARAMS, ARRAYS, ROWS).rows == ROWS


def test_write_atomic_leaves_the_old_content_where_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file.txt"
    write_atomic(path, "old")
    assert path.stat().st_mode & 0o777 == 0o644
    with monkeypatch.context() as patched:

        def fail(*_):
            raise Killed

        patched.setattr(os, "replace", fail)
        with pytest.raises(Killed):
            write_atomic(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


# -- get: resumable ----------------------------------------


def test_get_computes_once(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return ARRAYS

    for _ in range(3):
        assert np.array_equal(Store(tmp_path).get("run", PARAMS, compute).arrays["error"], ARRAYS["error"])
    assert len(calls) == 1
    Store(tmp_path).get("run", PARAMS | {"seed": 1}, compute)
    assert len(calls) == 2
    seconds = json.loads((Store(tmp_path).path("run", PARAMS) / "walltime.json").read_text(encoding="utf-8"))["seconds"]
    assert 0 <= seconds < 60


def test_a_run_that_is_interrupted_ends_with_the_same_bytes(tmp_path):
    """Three results, killed while the second is computed; started again it computes the last two only."""
    done = []

    def run(root, kill):
        for seed in range(3):

            def compute(seed=seed):
                if seed == kill:
                    raise Killed
                done.append(seed)
                return {"x": np.random.default_rng(seed).standard_normal(4)}

            Store(root).get("run", {"seed": seed}, compute)

    run(tmp_path / "whole", None)
    done.clear()
    with pytest.raises(Killed):
        run(tmp_path / "cut", 1)
    run(tmp_path / "cut", None)
    assert done == [0, 1, 2]
    whole, cut = files(tmp_path / "whole"), files(tmp_path / "cut")
    assert whole.keys() == cut.keys()
    assert all(whole[name] == cut[name] for name in whole if not name.endswith("walltime.json"))


# -- damage ----------------------------------------


@pytest.mark.parametrize("name", ["arrays.npz", "rows.json"])
def test_a_flipped_bit_is_found(tmp_path, name):
    path = Store(tmp_path).save("run", PARAMS, ARRAYS, ROWS).path
    Store(tmp_path).save("other", PARAMS, ARRAYS)
    assert verify(tmp_path) == (2, [])
    content = bytearray((path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (path / name).write_bytes(content)
    count, problems = verify(tmp_path)
    assert count == 2
    assert problems == [f"{path / name}: sha256 differs from the manifest"]
    with pytest.raises(StoreError, match=r"sha256 differs.*delete the folder and run again"):
        Store(tmp_path).load("run", PARAMS)
    with pytest.raises(StoreError, match="sha256 differs"):
        Store(tmp_path).get("run", PARAMS, dict)  # a damaged result is never used silently


def test_missing_files_and_unreadable_manifests_are_found(tmp_path):
    path = Store(tmp_path).save("run", PARAMS, ARRAYS).path
    (path / "arrays.npz").unlink()
    assert verify_one(path) == [f"{path / 'arrays.npz'}: missing"]
    for broken in ("{", "[]", '{"name": 1}', '{"sha256": 3}'):
        (path / "manifest.json").write_text(broken, encoding="utf-8")
        (problem,) = verify_one(path)
        assert "no readable manifest" in problem
        assert verify(tmp_path) == (1, [problem])
    (path / "manifest.json").write_text('{"sha256": {}}', encoding="utf-8")  # vouches for nothing
    assert len(verify_one(path)) == 3  # both files, and the folder's key
    (path / "walltime.json").unlink()  # outside every checksum
    with pytest.raises(StoreError, match="not a folder"):
        verify(tmp_path / "absent")
    with pytest.raises(StoreError, match="no readable manifest"):
        Store(tmp_path).load("absent", {})


def test_edited_parameters_are_found(tmp_path):
    """Parameters, seed and versions are in the folder's key: a manifest that names others is not this result's."""
    path = Store(tmp_path).save("run", {"seed": 1}, {"x": np.zeros(2)}).path
    assert verify_one(path) == []
    manifest = path / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace('"seed": 1', '"seed": 2'), encoding="utf-8")
    (problem,) = verify_one(path)
    assert "not those of the folder's key" in problem


# -- two writers ----------------------------------------


def test_two_writers_of_one_result(tmp_path):
    """Both come back with the result, one folder stays, nothing is left over."""
    barrier, results, errors = threading.Barrier(4), [], []

    def write():
        barrier.wait()
        try:
            results.append(Store(tmp_path).save("run", PARAMS, ARRAYS, ROWS))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(results) == 4
    assert [p.name for p in tmp_path.iterdir()] == [Store(tmp_path).path("run", PARAMS).name]
    assert verify(tmp_path) == (1, [])


def test_the_slower_of_two_writers_takes_the_others_result(tmp_path, monkeypatch):
    """The other one finishes just before this one moves its folder into place."""
    real_rename = os.rename

    def rename(source, target):
        monkeypatch.setattr(os, "rename", real_rename)
        Store(tmp_path).save("run", PARAMS, ARRAYS, ROWS)
        real_rename(source, target)

    monkeypatch.setattr(os, "rename", rename)
    saved = Store(tmp_path).save("run", PARAMS, ARRAYS, ROWS)
    assert saved.rows == ROWS
    assert len(list(tmp_path.iterdir())) == 1
    assert verify(tmp_path) == (1, [])


def test_a_rename_that_fails_for_another_reason_is_an_error(tmp_path, monkeypatch):
    def rename(source, target):
        raise PermissionError("no")

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(PermissionError):
        Store(tmp_path).save("run", PARAMS, ARRAYS)
    assert list(tmp_path.iterdir()) == []


# -- what may be a parameter ----------------------------------------


def test_what_holds_numbers_is_told_apart_by_all_of_them():
    """The text of a large tensor or series leaves most entries out."""
    pandas, torch = pytest.importorskip("pandas"), pytest.importorskip("torch")
    one = np.arange(5000.0)
    other = one.copy()
    other[2500] = -1
    for made in (torch.tensor, pandas.Series, np.asarray):
        assert key("x", {"w": made(one)}) != key("x", {"w": made(other)})
        assert key("x", {"w": made(one)}) == key("x", {"w": one})


@pytest.mark.parametrize("value", [{1, 2}, frozenset("ab"), len, lambda: 0, object(), iter([1])])
def test_what_has_no_text_that_decides_it_is_no_parameter(value):
    with pytest.raises(TypeError, match="cannot be a parameter: it has no text that determines it"):
        key("x", {"w": value})


def test_two_names_of_one_text_are_refused():
    with pytest.raises(ValueError, match="two names have the same text"):
        key("x", {1: 2, "1": 3})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"m": np.ma.masked_array([1.0, 999.0], [0, 1])}, "'m' is masked"),
        ({"a.npy": np.ones(2)}, "plain names that do not end in .npy"),
        ({"../a": np.ones(2)}, "plain names"),
    ],
)
def test_arrays_that_would_come_back_otherwise_are_refused(tmp_path, arrays, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Store(tmp_path).save("x", {}, arrays)
    assert list(tmp_path.iterdir()) == []
