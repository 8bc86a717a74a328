"""The runs that must survive: kill -9 anywhere, any number of workers, started again: the same bytes."""

import sys

import numpy as np
import pytest

from analysis.experiments import arms, sizes, trained
from analysis.faults.waiting import ROOT, WaitingProgram, begun, wait_for
from analysis.running import workspace
from modiff_sim.sweeps.store import sha256
from modiff_sim.sweeps.verification import verify

TINY = sizes.Effort("tiny", steps=3, n=6, weight_bits=(8,), n_recorded=2, batch=2)
ARMS = (arms.FULL, arms.Arm("open_loop", 4, 8), arms.Arm("closed_loop", 4, 8))
SCRIPT = """
import sys
from itertools import count
sys.path.insert(0, "tests/analysis")
from analysis.faults.driver import begin
from test_experiments import ARMS, TINY, trained
if sys.argv[1:] == ["held"]:
    number, task = count(), trained.sample_task
    trained.sample_task = lambda *about: begin(next(number)) or task(*about)
trained._ensure(TINY, ARMS, 6, "sampling")
"""


def start(out, workers, *arguments, **environment):
    about = {"MODIFF_OUT": out, "MODIFF_WORKERS": workers, "OMP_NUM_THREADS": 1} | environment
    said = out.with_suffix(f".{workers}")
    return WaitingProgram([sys.executable, "-c", SCRIPT, *arguments], said, about, cwd=ROOT)


def finish(program):
    with program:
        code, said = program.end()
    assert code == 0, said


def checksums(out):
    return {
        str(p.relative_to(out)): sha256(p)
        for p in sorted(out.rglob("*"))
        if p.is_file() and p.name != "walltime.json" and ".part-" not in str(p)
    }


@pytest.mark.slow
def test_a_killed_run_finishes_with_the_same_bytes(tmp_path):
    """Killed with one worker, finished with two, against one that was never interrupted."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(whole, workers=1))
    expected = checksums(whole)
    assert len(expected) == 3 * 3 * 3  # arms × micro-batches × (arrays, rows, manifest)

    count = tmp_path / "count"
    with start(killed, 1, "held", COUNT=count, HOLD=f"3:{tmp_path / 'never'}") as program:
        wait_for(lambda: len(begun(count)) == 4, program)
    assert len(checksums(killed)) == 3 * 3  # leaving the context killed it
    finish(start(killed, workers=2))
    assert checksums(killed) == expected
    assert verify(killed) == (9, [])


def test_what_is_stored_is_not_computed_again(tmp_path, monkeypatch):
    monkeypatch.setenv("MODIFF_OUT", str(tmp_path))
    monkeypatch.setenv("MODIFF_WORKERS", "1")
    monkeypatch.setitem(sizes.EFFORTS, "tiny", TINY)
    first = trained.arm_images(arms.FULL, "tiny", 3)

    def fail(*_):
        raise AssertionError("sampled again")

    monkeypatch.setattr(trained, "sample_task", fail)
    assert np.array_equal(trained.arm_images(arms.FULL, "tiny", 4)[:3], first)
    with pytest.raises(AssertionError, match="sampled again"):
        trained.arm_images(arms.FULL, "tiny", 5)


def test_paired_noise_and_the_audit_in_the_rows(tmp_path, monkeypatch):
    """Every arm starts from the same noise: at 8 bits images stay near full precision's, and its audit is stored."""
    monkeypatch.setenv("MODIFF_OUT", str(tmp_path))
    monkeypatch.setenv("MODIFF_WORKERS", "1")
    monkeypatch.setitem(sizes.EFFORTS, "tiny", TINY)
    full = trained.arm_images(arms.FULL, "tiny", 2)
    near = trained.arm_images(arms.Arm("closed_loop", 8, 8), "tiny", 2)
    other = trained.arm_images(arms.FULL, "tiny", 4)[2:]
    assert 0 < np.abs(near - full).max() < 0.2 * np.abs(other - full).max()
    audit = trained._load(TINY, arms.Arm("closed_loop", 8, 8), 0).rows[0]
    assert audit["mac_share"] == pytest.approx(2 / 3)  # one exact call of three
    assert trained._load(TINY, arms.FULL, 0).arrays["middle"].shape == (3, 2, 64 * 4 * 4)


def test_arms_are_labelled_and_cover_the_sweep():
    sweep = trained.sweep(sizes.EFFORTS["full"])
    assert len(sweep) == len(set(sweep)) == 1 + (1 + 3 * 5)
    assert arms.Arm("closed_loop", 4, 8).label == "W8A4 closed loop"
    assert arms.FULL.label == "full precision"
    with pytest.raises(ValueError, match="known: quick, full"):
        sizes.effort_of("huge")


def test_workers_follow_the_environment(monkeypatch):
    monkeypatch.setenv("MODIFF_WORKERS", "3")
    assert workspace.workers() == 3
    monkeypatch.delenv("MODIFF_WORKERS")
    assert workspace.workers() >= 1


def test_there_is_one_list_of_efforts():
    import figures
    import paper_checks
    from analysis.running import efforts

    assert tuple(sizes.EFFORTS) == efforts.EFFORTS
    assert all(sizes.EFFORTS[name].name == name for name in efforts.EFFORTS)
    assert figures.EFFORTS is paper_checks.EFFORTS is efforts.EFFORTS
    with pytest.raises(ValueError, match="unknown effort 'slow'; known: quick, full"):
        efforts.checked("slow")
