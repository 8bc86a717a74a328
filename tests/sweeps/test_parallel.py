"""Who carries a sweep: processes of this machine, a Dask cluster; a worker that is killed changes nothing."""

import os
import re
import shutil
import signal
import sys
from functools import partial

import pytest

from analysis.faults import workers
from analysis.faults.driver import GUARD, POINTS
from analysis.faults.waiting import ROOT, Started, WaitingProgram, wait_for
from modiff_sim.sweeps import parallel
from modiff_sim.sweeps.parallel import WorkerLost, unordered
from modiff_sim.sweeps.rowlog import RowLog
from modiff_sim.sweeps.store import Store
from modiff_sim.sweeps.sweep import Output, SweepError, run


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The table of a run that nothing happened to."""
    whole = Started(tmp_path_factory.mktemp("whole"))
    assert whole.finish()[0] == 0
    return whole.bytes()


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
    two = Started(tmp_path)
    code, said = two.finish(WORKERS=2)
    assert code == 0, said
    assert two.problems(undisturbed, again=0) == []


@pytest.mark.parametrize(
    ("target", "name"), [("a worker", "SIGKILL"), ("the driver", "SIGTERM"), ("everyone", "SIGINT")]
)
def test_what_is_killed_or_interrupted_costs_what_it_was_at(tmp_path, undisturbed, target, name):
    """A killed worker is replaced; with the driver its workers end; Ctrl-C says what is kept."""
    attempt = workers.disturbed(Started(tmp_path), target, name, 2, undisturbed)
    assert attempt.right, attempt.outcome


def deadly(point):
    if point["seed"] == 1:
        log = RowLog(point["log"])
        wait_for(lambda: len(log.entries()) == 2)
        os.kill(os.getpid(), signal.SIGKILL)
    return Output({"seed": point["seed"]})


def test_a_point_that_kills_its_workers_is_named(tmp_path):
    points = [{"seed": i, "log": str(tmp_path / "x.rows.jsonl")} for i in range(3)]
    with pytest.raises(SweepError, match=r'a worker was killed.*3 times without.*"seed": 1.*2 of 3 points are kept'):
        run(points, deadly, Store(tmp_path), name="x", workers=2)
    assert issubclass(WorkerLost, RuntimeError)


# -- Dask ----------------------------------------


@pytest.fixture
def cluster(tmp_path):
    """Address of a scheduler, and a function that starts a worker: one process of one thread on loopback."""
    started, folder = [], tmp_path / "dask"
    patient = {f"DASK_DISTRIBUTED__COMM__TIMEOUTS__{name}": f"{GUARD}s" for name in ("CONNECT", "TCP")}

    def launch(*arguments, **more):
        command = [sys.executable, "-m", "dask", *arguments]
        said = folder / f"said-{len(started)}"
        started.append(WaitingProgram(command, said, {"OMP_NUM_THREADS": 1} | patient | more, cwd=tmp_path))
        return started[-1]

    def worker(**more):
        """It is there when this returns."""
        arguments = ("--host", "127.0.0.1", "--nthreads", 1, "--no-nanny", "--no-dashboard")
        made = launch("worker", address, *arguments, **more)
        wait_for(lambda: "Registered to" in made.output(), made)
        return made

    file = tmp_path / "scheduler.json"
    scheduler = launch("scheduler", "--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--scheduler-file", file)
    address = wait_for(
        lambda: file.exists() and re.search(r"tcp://127\.0\.0\.1:\d+", file.read_text(encoding="utf-8")), scheduler
    ).group(0)
    yield address, worker
    for program in reversed(started):
        with program:  # leaving kills it
            pass


def test_a_cluster_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(parallel, "PATIENCE", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(ValueError, match="no Dask scheduler answers at"):
            list(unordered([partial(abs, -1)], scheduler=address))


def test_a_cluster_without_workers_is_an_error(cluster, monkeypatch):
    from distributed import Client

    monkeypatch.setattr(parallel, "PATIENCE", GUARD)
    real = Client.wait_for_workers
    monkeypatch.setattr(Client, "wait_for_workers", lambda self, n, timeout: real(self, n, timeout=timeout / 10_000))
    with pytest.raises(ValueError, match="has no workers: start some with `dask worker"):
        list(unordered([partial(abs, -1)], scheduler=cluster[0]))


def test_a_dask_worker_is_killed_in_the_middle(tmp_path, undisturbed, cluster):
    """The driver writes; the workers have a folder of their own and see nothing of the store."""
    (address, worker), gate = cluster, tmp_path / "gate"
    spread = Started(tmp_path)
    killed, _ = [worker(COUNT=spread.count, HOLD=f"2:{gate}") for _ in range(2)]
    with spread.start(SCHEDULER=address, PATIENCE=GUARD, COUNT=tmp_path / "here") as program:
        spread.wait(program, rows=2, begun=4)  # each worker is at a point
        mine = [index for index, pid in spread.begun() if pid == killed.pid]
        killed.signal(signal.SIGKILL)
        gate.touch()
        code, said = program.end()
    assert code == 0, said
    again = len(spread.begun()) - POINTS  # what it was at, and what it still held of results that were on their way
    assert 1 <= again <= len(mine)
    assert spread.problems(undisturbed, again) == []
    assert not (tmp_path / "here").exists()  # nothing was computed by the driver


def test_workers_that_lack_the_code_are_an_error_and_no_endless_wait(tmp_path, cluster):
    """A worker that cannot import the sweep's function."""
    address, worker = cluster
    (tmp_path / "other" / "analysis").mkdir(parents=True)
    (tmp_path / "other" / "analysis" / "__init__.py").touch()
    worker(PYTHONPATH=os.pathsep.join([str(tmp_path / "other"), str(ROOT)]))
    lacking = Started(tmp_path)
    code, said = lacking.finish(SCHEDULER=address, PATIENCE=GUARD)
    assert code == 1
    assert "a Dask worker cannot import what it is to compute (No module named 'analysis.faults')" in said
    assert lacking.rows() == 0 < POINTS


def test_workers_without_this_package_are_an_error(tmp_path, cluster, monkeypatch):
    address, worker = cluster
    (tmp_path / "modiff_sim").mkdir()
    (tmp_path / "modiff_sim" / "__init__.py").write_text("raise ImportError('not installed')", encoding="utf-8")
    worker(PYTHONPATH=tmp_path)
    monkeypatch.setattr(parallel, "PATIENCE", GUARD)
    with pytest.raises(ValueError, match="does not run modiff_sim"):
        list(unordered([partial(abs, -1)], scheduler=address))


def test_a_worker_with_other_source_is_refused(tmp_path, cluster):
    """It imports what it is to compute, and one constant of the package is another there."""
    address, worker = cluster
    other = tmp_path / "other"
    for package in ("modiff_sim", "analysis"):
        shutil.copytree(ROOT / package, other / package, ignore=lambda _, names: [n for n in names if _is_heavy(n)])
    changed = other / "modiff_sim" / "quantizers" / "absmax.py"
    changed.write_text(changed.read_text(encoding="utf-8") + "\nOTHER = 1\n", encoding="utf-8")
    worker(PYTHONPATH=other, COUNT=tmp_path / "there")
    refused = Started(tmp_path)
    code, said = refused.finish(SCHEDULER=address, PATIENCE=GUARD)
    assert code == 1, said
    assert re.search(
        r"the worker on \S+ has other source of modiff_sim; its bytes could differ: restart the workers", said
    )
    assert "0 of 8 points are kept, and the same command goes on from there" in said
    assert not (tmp_path / "there").exists()  # nothing was computed


def _is_heavy(name):
    return name == "__pycache__" or name.endswith((".safetensors", ".npz", ".png"))


def test_progress_is_told_every_ten_seconds_with_the_time_that_is_left(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(parallel.time, "monotonic", lambda: now[0])
    told = parallel.progress("points", 4)
    for seconds, done in ((5.0, 1), (12.0, 2), (21.0, 3), (30.0, 4)):
        now[0] = seconds
        told(done)
    assert capsys.readouterr().err.splitlines() == ["points: 2 of 4, about 12 s left", "points: 4 of 4"]
    parallel.progress("", 4)(4)
    parallel.progress("points", 0)(0)
    assert capsys.readouterr().err == ""
