"""Locks: they end with the process that took them, whatever it forked, and who waits for one says so."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.faults import driver
from modiff_sim.sweeps import files, sweep
from modiff_sim.sweeps.files import locked
from modiff_sim.sweeps.rowlog import Claims
from modiff_sim.sweeps.store import Store
from modiff_sim.sweeps.sweep import Output, run

ROOT = Path(__file__).parents[2]
FORKING = """
import os, signal, sys, time
from modiff_sim.sweeps.store import Store
from modiff_sim.sweeps.sweep import Output, run

def compute(point):
    child = os.fork()
    if child == 0:
        time.sleep(100)
        os._exit(0)
    print(child, flush=True)
    time.sleep(1)  # its child has begun
    os.kill(os.getpid(), signal.SIGKILL)

run([{"seed": 0}], compute, Store(sys.argv[1]), name="small", workers=1)
"""


@pytest.fixture
def in_time():
    """Nothing here may wait for as long as a lock is held."""

    def late(*_):
        raise AssertionError("waited for a lock")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def waited_for(path):
    with open(path, "a+b") as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_the_child_of_a_killed_process_keeps_no_claim(tmp_path, in_time):
    command, about = [sys.executable, "-c", FORKING, tmp_path / "s"], os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=about) as program:
        child = int(program.stdout.readline())
        try:
            assert program.wait() == -signal.SIGKILL
            os.kill(child, 0)  # it lives
            rows = run([{"seed": 0}], lambda point: Output({"x": 1}), Store(tmp_path / "s"), name="small", workers=1)
            assert rows == [{"x": 1}]
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_child_leaves_the_locks_of_its_parent_as_they_are(tmp_path):
    claims = Claims(tmp_path / "claims")
    assert claims.take("k")
    with open(tmp_path / "log", "a+b") as file, locked(file):
        if (child := os.fork()) == 0:
            claims.give_up_all()
            os._exit(0 if file.closed else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert waited_for(tmp_path / "log")
        assert waited_for(tmp_path / "claims" / "k")
    assert not waited_for(tmp_path / "log")
    claims.give_up_all()
    assert os.listdir(tmp_path / "claims") == []


def test_who_waits_for_a_lock_says_so_once(tmp_path, capsys, monkeypatch):
    with open(tmp_path / "log", "a+b") as mine, locked(mine):
        pass
    assert capsys.readouterr().err == ""
    with open(tmp_path / "log", "a+b") as other, open(tmp_path / "log", "a+b") as mine:
        fcntl.flock(other, fcntl.LOCK_EX)
        complain = files.complain

        def said(text):
            """The other lets go when it is said that it is waited for."""
            complain(text)
            fcntl.flock(other, fcntl.LOCK_UN)

        monkeypatch.setattr(files, "SILENT", 0.05)
        monkeypatch.setattr(files, "complain", said)
        with locked(mine):
            assert waited_for(tmp_path / "log")
    assert capsys.readouterr().err == f"{tmp_path / 'log'} is locked by another process, which is waited for\n"


def test_a_sweep_that_waits_for_others_says_so_once(tmp_path, capsys, monkeypatch):
    store, points = Store(tmp_path / "s"), driver.points()
    others = Claims(store.root / ".small.claims")
    assert others.take(sweep.key("small", points[0]))
    said, rounds = sweep._Sweep.say_waiting, []

    def waits(self):
        """They let go two rounds after it was said."""
        said(self)
        rounds.append(self.said)
        if rounds.count(True) == 3:
            others.give_up_all()

    monkeypatch.setattr(sweep, "SILENT", 0.0)
    monkeypatch.setattr(sweep._Sweep, "say_waiting", waits)
    run(points, driver.compute, store, name="small", workers=1)
    assert rounds[-3:] == [True, True, True]
    assert capsys.readouterr().err == (
        "small: waiting for other processes, which compute 1 of the points (they hold the files in "
        f"{tmp_path / 's' / '.small.claims'})\n"
    )
