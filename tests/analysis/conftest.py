"""Witnesses that anybody has: made-up weights in the place of other people's."""

import dataclasses

import pytest
import torch
from made_witnesses import HOURS, foreign, made

from analysis.witness import csdi, plan, predicted, prediction, pulfer, witnesses
from analysis.witness.arms import Arm, baseline, full
from modiff_sim.sweeps.store import sha256


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Both witnesses with made-up weights in a folder, and few arms of four samples of two steps."""
    for name, module in (("pulfer", pulfer), ("csdi", csdi)):
        torch.save(foreign(module, made(module)), tmp_path / f"{name}.pt")
        known = dataclasses.replace(
            witnesses.WITNESSES[name], file=f"{name}.pt", sha256=sha256(tmp_path / f"{name}.pt")
        )
        monkeypatch.setitem(witnesses.WITNESSES, name, known)
        few = (full("stochastic"), baseline("stochastic"), Arm("stochastic", "closed_loop", 4))
        monkeypatch.setitem(plan.PLANS, name, plan.Plan(4, 2, few))
        monkeypatch.setitem(prediction.PLANS, name, prediction.Plan(2, 4, 2, probe_every=1, source_every=1))
        steps = {sampler: options | {"steps": 2} for sampler, options in module.SAMPLERS.items()}
        monkeypatch.setattr(module, "SAMPLERS", steps)
    monkeypatch.setattr(prediction, "ARMS", tuple((r, bits) for r in prediction.RECURSIONS for bits in (4, 8)))
    monkeypatch.setattr(predicted, "BITS", (4, 8))
    monkeypatch.setattr(csdi, "SHAPE", (1, csdi.FEATURES, HOURS))
    monkeypatch.setenv("MODIFF_OUT", str(tmp_path / "out"))
    witnesses.load.cache_clear()
    witnesses.conditions.cache_clear()
    yield tmp_path
    witnesses.load.cache_clear()
    witnesses.conditions.cache_clear()
