"""The claims on witnesses: on rows of a known world the verdicts are that world's, and a broken variant's is not."""

import numpy as np
import pytest
from verdicts import MODULES, verdict

import paper_checks
from analysis.witness import predicted, prediction, rows
from analysis.witness.plan import PLANS
from modiff_sim import Verdict
from modiff_sim.sweeps.store import StoreError

NAMES = [name for name in MODULES if name.startswith("witnesses_")]


def nearness(arm):
    """A world in which everything that is claimed of the arms is so: dB to W8A32 of an arm."""
    if arm.recursion == "closed_loop":
        return 12.0 + 4 * arm.bits
    direct = 6.0 * (arm.bits - 3)
    if arm.recursion == "direct":
        return direct
    return direct + (8.0 if arm.sampler == "deterministic" else -8.0) + (5.0 if arm.layers != "all" else 0.0)


@pytest.fixture
def world(monkeypatch):
    """Replace the committed rows; arguments are how far samples lie apart, and the arm that was not measured."""

    def make(spread=0.5, missing=None):
        def committed(name):
            values, rng = {}, np.random.default_rng(0)
            for arm in PLANS[name].arms:
                if arm == missing:
                    continue
                ratio = 20.0 if arm.sampler == "deterministic" else 3.0
                noise = spread * rng.standard_normal(PLANS[name].samples)
                values[arm, "to_full"], values[arm, "ratio"] = 26.0 + noise, ratio + noise
                values[arm, "to_baseline"] = nearness(arm) + noise
            return rows.Rows(name, values, {}, {})

        monkeypatch.setattr(rows, "committed", committed)
        monkeypatch.setattr(predicted, "committed", lambda name: errors(name, spread))

    return make


def errors(name, spread):
    """Errors that halve with every bit, as predicted; a theory that lacks a part predicts a thousandth of them."""
    plan, rng = prediction.PLANS[name], np.random.default_rng(0)
    values = {}
    for recursion, bits in prediction.ARMS:
        size = {"direct": 10.0, "open_loop": 20.0, "closed_loop": 2.0}[recursion] * 2.0**-bits
        scatter = np.exp(np.clip(spread * rng.standard_normal(plan.images), -50, 50))
        values[recursion, bits, prediction.MEASURED] = size * scatter
        for theory in prediction.THEORIES:
            values[recursion, bits, theory] = np.full(plan.samples, size if theory == "predicted" else size / 1000)
    return predicted.Errors(name, values, {"plan": {"samples": plan.samples, "images": plan.images}})


BROKEN = [
    ("witnesses_closed_beats_direct", {"recursion": "direct", "by": "closed_loop", "bits": (4,)}),
    ("witnesses_direct_four_bits", {"recursion": "closed_loop"}),
    ("witnesses_open_loop_by_sampler", {"better": "stochastic"}),
    ("witnesses_open_loop_by_layers", {"better": "stochastic"}),
    ("witnesses_open_loop_time_path", {"swapped": True}),
    ("witnesses_differences", {"sampler": "stochastic"}),
    ("witnesses_differences_stochastic", {"sampler": "deterministic"}),
    ("witnesses_predicted_cliff", {"theory": "predicted without memory of x"}),
]


def test_every_claim_has_a_broken_variant():
    assert sorted(NAMES) == sorted(name for name, _ in BROKEN)


@pytest.mark.parametrize(("name", "broken"), BROKEN, ids=[name for name, _ in BROKEN])
def test_the_verdict_follows_the_rows(world, name, broken):
    world()
    assert verdict(name) == Verdict.HOLDS
    assert verdict(name, **broken) == Verdict.VIOLATED


@pytest.mark.parametrize("name", NAMES)
def test_samples_far_apart_decide_nothing(world, name):
    world(spread=400.0)
    # a difference is paired: what two arms of a sample have in common cancels, unless it is not in common
    assert verdict(name) != Verdict.HOLDS


def test_an_arm_that_was_not_measured_is_an_error_not_a_verdict(world):
    missing = next(arm for arm in PLANS["pulfer"].arms if arm.recursion == "closed_loop")
    world(missing=missing)
    with pytest.raises(StoreError, match=f"no 'to_baseline' of {missing.label}"):
        verdict("witnesses_closed_beats_direct")


def test_cases_are_every_sampler_of_every_witness():
    for name, count in [("witnesses_closed_beats_direct", 8), ("witnesses_open_loop_by_sampler", 8)]:
        evidence = MODULES[name].check()
        assert len(evidence.cases) == count
        for witness, plan in PLANS.items():
            assert evidence.params[f"samples of {witness}"] == plan.samples
    assert "witnesses" in paper_checks.ROOMS
