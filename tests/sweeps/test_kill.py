"""Runs that survive: whatever ends them, the same command goes on and the table has the same bytes."""

import resource
import signal

import pytest

from analysis.faults import kills
from analysis.faults.driver import NAME, POINTS
from analysis.faults.waiting import Started, wait_for

MOMENTS = ("fcntl.flock:4", "os.mkdir:2", "open:9", "fsync:2:0", "synced:4", "os.rename:5", "fsync:7:1", "os.remove:2")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The table of a run that nothing happened to."""
    run = Started(tmp_path_factory.mktemp("whole"))
    assert run.finish()[0] == 0
    assert run.problems(run.bytes(), again=0) == []
    return run


def whole(run, undisturbed, again):
    """Finished by one more run, the table is the undisturbed one, and ``again`` points were begun once more."""
    code, said = run.finish()
    assert code == 0, said
    assert run.problems(undisturbed.bytes(), again) == []


def test_killed_at_random_moments(tmp_path):
    """SIGKILL before a random file-system call, up to five times in a row."""
    made = list(kills.attempts(12, seed=0, folder=tmp_path))
    assert len(made) == 12
    assert [attempt for attempt in made if not attempt.right] == []


def test_killed_again_and_again(tmp_path, undisturbed):
    """Before a lock, a folder, a file, an fsync (what it was to save is torn), a rename and a removal, in a row."""
    run = Started(tmp_path)
    with kills.Forks() as forks:
        for moment in MOMENTS:
            done = run.rows()
            assert forks.run(run, KILL=moment) == -signal.SIGKILL
            assert done <= run.rows() < POINTS
            assert not run.table.exists()
        assert forks.run(run) == 0
    again = len(run.begun()) - POINTS
    assert 0 < again <= len(MOMENTS)
    assert run.problems(undisturbed.bytes(), again) == []


def test_ctrl_c_says_what_is_kept(tmp_path, undisturbed):
    run = Started(tmp_path)
    with run.start(HOLD=f"2:{tmp_path / 'gate'}") as program:
        run.wait(program, rows=2, begun=3)
        program.signal(signal.SIGINT, everyone=True)  # as a terminal sends it
        code, said = program.end()
    assert code == 130
    assert f"interrupted: 2 of {POINTS} points are kept, and the same command goes on from there" in said
    assert "Traceback" not in said
    assert run.rows() == 2
    whole(run, undisturbed, again=1)


def test_a_full_disk_says_what_is_kept(tmp_path, undisturbed):
    """No file may grow beyond a limit: first the arrays do not fit, then, some points later, a row."""
    run = Started(tmp_path)
    sizes = [p.stat().st_size for p in undisturbed.store.rglob("arrays.npz")]
    rows = (undisturbed.store / f"{NAME}.rows.jsonl").stat().st_size
    assert max(sizes) < rows // 2
    for limit in (min(sizes) // 2, rows // 2):
        with run.start(
            options={"preexec_fn": lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))}
        ) as program:
            code, said = program.end()
        assert code == 1
        done = run.rows()
        assert f"could not write to {run.store}" in said
        assert f"{done} of {POINTS} points are kept, and the same command goes on from there" in said
        assert "Traceback" not in said
        assert done == 0 if limit < min(sizes) else 0 < done < POINTS
    whole(run, undisturbed, again=1)


def test_two_runs_on_one_store_share_the_work(tmp_path, undisturbed):
    """Both are in the middle of their first point when they go on."""
    run, gate = Started(tmp_path), tmp_path / "gate"
    with run.start(HOLD=f"0:{gate}") as one, run.start(HOLD=f"0:{gate}") as other:
        wait_for(lambda: len(run.begun()) == 2, one, other)
        assert {pid for _, pid in run.begun()} == {one.pid, other.pid}
        gate.touch()
        for program in (one, other):
            code, said = program.end()
            assert code == 0, said
    assert run.problems(undisturbed.bytes(), again=0) == []


def test_one_of_two_runs_is_killed(tmp_path, undisturbed):
    """What the killed one worked on is claimed by nobody any more, and the other one does it."""
    run, gate = Started(tmp_path), tmp_path / "gate"
    with run.start(HOLD=f"2:{gate}") as killed:
        run.wait(killed, rows=2, begun=3)
        with run.start(HOLD=f"5:{gate}") as other:
            run.wait(other, rows=4, begun=6)
            killed.signal(signal.SIGKILL)
            killed.end()
            gate.touch()
            code, said = other.end()
            assert code == 0, said
    begun = [index for index, _ in run.begun()]
    assert begun[:6] == [0, 1, 2, 3, 4, 5]
    assert sorted(begun[6:]) == [2, 6, 7]
    assert run.problems(undisturbed.bytes(), again=1) == []


def test_failed_points_end_with_exit_code_one(tmp_path, undisturbed):
    run = Started(tmp_path)
    code, said = run.finish(BAD=2)
    assert code == 1
    assert '"seed": 2' in said
    assert "ZeroDivisionError: no such point" in said
    whole(run, undisturbed, again=2)
