"""Who carries a sweep: processes of this machine, a Dask cluster; a worker that is killed changes nothing."""

import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import sweep_driver
from test_kill import POINTS, assert_whole, computed, finish, rows_stored, start, table

from modiff_sim import parallel
from modiff_sim.parallel import WorkerLost, unordered
from modiff_sim.store import Store
from modiff_sim.sweep import SweepError, run

TESTS = Path(__file__).parent


def children(pid):
    """Process ids of what a process started, and they started."""
    own = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(c) for c in own] + [d for c in own for d in children(c)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert finish(folder)[0] == 0
    return folder


def test_tasks_are_taken_as_workers_become_free():
    taken = []

    def tasks():
        for i in range(6):
            taken.append(i)
            yield partial(abs, -i)

    results = unordered(tasks(), workers=1)
    assert next(results) == 0
    assert taken == [0]
    assert sorted(results) == [1, 2, 3, 4, 5]
    assert sorted(unordered(tasks(), workers=2)) == list(range(6))
    with pytest.raises(ZeroDivisionError):
        list(unordered([partial(divmod, 1, 0)], workers=2))


def test_two_processes_give_the_same_bytes(tmp_path, undisturbed):
    assert finish(tmp_path, WORKERS=2)[0] == 0
    assert_whole(tmp_path, undisturbed, again=0)


def test_a_killed_process_is_replaced(tmp_path, undisturbed):
    process = start(tmp_path, WORKERS=2, SLOW=1)
    while rows_stored(tmp_path) < 2:
        time.sleep(0.02)
    workers = [pid for pid in children(process.pid) if b"popen_loky" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(workers[0], signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode == 0
    again = len(computed(tmp_path)) - POINTS
    assert 1 <= again <= 2  # joblib ends the other worker as well
    assert_whole(tmp_path, undisturbed, again)


def test_ctrl_c_reaches_the_workers(tmp_path, undisturbed):
    process = start(tmp_path, WORKERS=2, SLOW=2)  # so slow that a busy machine sends the signal before the end
    while rows_stored(tmp_path) < 2:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert f"interrupted: {rows_stored(tmp_path)} of {POINTS} points are kept" in said
    assert finish(tmp_path)[0] == 0
    assert table(tmp_path) == table(undisturbed)


def deadly(point):
    if point["seed"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return sweep_driver.sweep.Output({"seed": point["seed"]})


def test_a_point_that_kills_its_workers_is_named(tmp_path):
    points = [{"seed": i} for i in range(3)]
    with pytest.raises(SweepError, match=r'a worker was killed.*3 times without.*"seed": 1.*[12] of 3 points are kept'):
        run(points, deadly, Store(tmp_path), name="x", workers=2)
    assert issubclass(WorkerLost, RuntimeError)


# -- Dask ----------------------------------------


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Address of a scheduler, and a function that starts a worker: one process of one thread on loopback."""
    folder, started = tmp_path_factory.mktemp("dask"), []
    file = folder / "scheduler.json"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]), "OMP_NUM_THREADS": "1"}

    def launch(*arguments, **more):
        command = [sys.executable, "-m", "dask", *map(str, arguments)]
        with open(folder / f"{len(started)}.log", "w") as log:
            started.append(subprocess.Popen(command, env=environment | more, stdout=log, stderr=log, cwd=folder))
        return started[-1]

    launch("scheduler", "--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--scheduler-file", file)
    for _ in range(300):
        if file.exists() and (found := re.search(r"tcp://127\.0\.0\.1:\d+", file.read_text())):
            break
        time.sleep(0.1)
    address = found.group(0)

    def worker(**more):
        return launch("worker", address, "--host", "127.0.0.1", "--nthreads", 1, "--no-nanny", "--no-dashboard", **more)

    yield address, worker
    for process in reversed(started):
        process.kill()
        process.wait()


def test_a_cluster_that_is_not_there_is_an_error(cluster, monkeypatch):
    monkeypatch.setattr(parallel, "PATIENCE", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(ValueError, match="no Dask scheduler answers at"):
            list(unordered([partial(abs, -1)], scheduler=address))
    with pytest.raises(ValueError, match="has no workers: start some with `dask worker"):
        list(unordered([partial(abs, -1)], scheduler=cluster[0]))


def test_a_dask_worker_is_killed_in_the_middle(tmp_path, undisturbed, cluster):
    """The driver writes; the workers have a folder of their own and see nothing of the store."""
    address, worker = cluster
    workers = [worker(COUNT=str(tmp_path / "count"), SLOW="0.4") for _ in range(2)]
    process = start(tmp_path, SCHEDULER=address, COUNT=tmp_path / "here")
    while rows_stored(tmp_path) < 2:
        time.sleep(0.02)
        assert process.poll() is None
    assert rows_stored(tmp_path) < POINTS
    workers[0].kill()
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 0, said
    again = len(computed(tmp_path)) - POINTS
    assert 0 <= again <= 1
    assert_whole(tmp_path, undisturbed, again)
    assert not (tmp_path / "here").exists()  # nothing was computed by the driver
    workers[1].kill()
    workers[1].wait()


def test_workers_that_lack_the_code_are_an_error_and_no_endless_wait(tmp_path, cluster, monkeypatch):
    """A worker that cannot import the sweep's function, and one that cannot import modiff_sim at all."""
    address, worker = cluster
    stranger = worker(PYTHONPATH=str(TESTS.parent))
    process = start(tmp_path, SCHEDULER=address)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "a Dask worker cannot import what it is to compute (No module named 'sweep_driver')" in said
    assert rows_stored(tmp_path) == 0
    stranger.kill()
    stranger.wait()
    (tmp_path / "modiff_sim").mkdir()
    (tmp_path / "modiff_sim" / "__init__.py").write_text("raise ImportError('not installed')")
    worker(PYTHONPATH=str(tmp_path))
    monkeypatch.setattr(parallel, "PATIENCE", 5)
    with pytest.raises(ValueError, match="does not run modiff_sim"):
        list(unordered([partial(abs, -1)], scheduler=address))
