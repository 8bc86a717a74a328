"""Runs that survive: whatever ends them, the same command goes on and the table has the same bytes."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sweep_driver

from modiff_sim.rowlog import RowLog
from modiff_sim.store import verify

DRIVER = Path(sweep_driver.__file__)
POINTS = len(sweep_driver.points())


def environment(tmp_path, **more):
    paths = os.pathsep.join([str(DRIVER.parent), str(DRIVER.parent.parent)])
    return os.environ | {"COUNT": str(tmp_path / "count"), "PYTHONPATH": paths} | {k: str(v) for k, v in more.items()}


def start(tmp_path, store="s", **more):
    return subprocess.Popen(
        [sys.executable, DRIVER, tmp_path / store, tmp_path / "table"],
        env=environment(tmp_path, **more), stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def finish(tmp_path, store="s", **more):
    """(exit code, what it said)"""
    process = start(tmp_path, store, **more)
    said = process.communicate(timeout=120)[1]
    return process.returncode, said


def table(folder):
    return {p.name: p.read_bytes() for p in (folder / "table").iterdir()}


def rows_stored(tmp_path):
    return len(RowLog(tmp_path / "s" / f"{sweep_driver.NAME}.rows.jsonl").entries())


def computed(tmp_path):
    return (tmp_path / "count").read_text().splitlines()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert finish(folder)[0] == 0
    assert len(computed(folder)) == POINTS
    return folder


def assert_whole(tmp_path, undisturbed, again):
    """The table is the undisturbed one, and besides ``again`` points none was computed twice."""
    assert table(tmp_path) == table(undisturbed)
    assert len(computed(tmp_path)) == POINTS + again
    count, problems = verify(tmp_path)
    assert (count, problems) == (POINTS + 2, [])  # every result, the log, the table


def test_killed_at_random_points(tmp_path, undisturbed):
    """SIGKILL while arrays are written, between arrays and row, within a row and after it, one kill after another.

    One point is computed twice: the one whose arrays were being written. The others' rows lie beside their arrays.
    """
    chosen = random.Random(0)
    for where in chosen.sample(sweep_driver.WHERE, len(sweep_driver.WHERE)):
        done = rows_stored(tmp_path)
        code, _ = finish(tmp_path, KILL=f"{where}:{chosen.randint(1, 2)}")
        assert code == -signal.SIGKILL
        assert done <= rows_stored(tmp_path) < POINTS
        assert not (tmp_path / "table").exists()
    assert finish(tmp_path)[0] == 0
    assert_whole(tmp_path, undisturbed, again=1)
    (torn,) = [p for p in (tmp_path / "s").iterdir() if p.name.startswith(".part-")]  # of the kill within arrays
    assert torn.is_dir()


def test_ctrl_c_says_what_is_kept(tmp_path, undisturbed):
    process = start(tmp_path, SLOW=1)  # so slow that a busy machine sends the signal before the end
    while rows_stored(tmp_path) < 2:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it, to workers as well
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    done = rows_stored(tmp_path)
    assert 2 <= done < POINTS
    assert f"interrupted: {done} of {POINTS} points are kept, and the same command goes on from there" in said
    assert "Traceback" not in said
    before = len(computed(tmp_path))
    assert before - done <= 1
    assert finish(tmp_path)[0] == 0
    assert_whole(tmp_path, undisturbed, again=before - done)


def test_a_full_disk_says_what_is_kept(tmp_path, undisturbed):
    """No file may grow beyond a limit: first the arrays do not fit, then, some points later, a row."""
    sizes = [p.stat().st_size for p in (undisturbed / "s").rglob("arrays.npz")]
    rows = (undisturbed / "s" / f"{sweep_driver.NAME}.rows.jsonl").stat().st_size
    assert max(sizes) < rows // 2
    for limit in (min(sizes) // 2, rows // 2):
        process = subprocess.Popen(
            [sys.executable, DRIVER, tmp_path / "s", tmp_path / "table"], env=environment(tmp_path),
            stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )  # fmt: skip
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 1
        done = rows_stored(tmp_path)
        assert f"could not write to {tmp_path / 's'}" in said
        assert f"{done} of {POINTS} points are kept, and the same command goes on from there" in said
        assert "Traceback" not in said
        assert done == 0 if limit < min(sizes) else 0 < done < POINTS
    assert finish(tmp_path)[0] == 0
    assert_whole(tmp_path, undisturbed, again=1)


def test_two_runs_on_one_store_share_the_work(tmp_path, undisturbed):
    both = [start(tmp_path, SLOW=0.2) for _ in range(2)]
    for process in both:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert_whole(tmp_path, undisturbed, again=0)


def test_one_of_two_runs_is_killed(tmp_path, undisturbed):
    """What the killed one worked on is claimed by nobody any more, and the other one does it."""
    killed = start(tmp_path, SLOW=0.5)
    while not (tmp_path / "count").exists():
        time.sleep(0.02)
    other = start(tmp_path, SLOW=0.4)
    while rows_stored(tmp_path) < 3:
        time.sleep(0.02)
    done = rows_stored(tmp_path)
    killed.kill()
    killed.communicate(timeout=60)
    other.communicate(timeout=120)
    assert other.returncode == 0
    assert done < POINTS
    again = len(computed(tmp_path)) - POINTS
    assert again in (0, 1)
    assert_whole(tmp_path, undisturbed, again)


def test_failed_points_end_with_exit_code_one(tmp_path, undisturbed):
    code, said = finish(tmp_path, BAD=2)
    assert code == 1
    assert '"seed": 2' in said
    assert "ZeroDivisionError: no such point" in said
    assert finish(tmp_path)[0] == 0
    assert_whole(tmp_path, undisturbed, again=2)
