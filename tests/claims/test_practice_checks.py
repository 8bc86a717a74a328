"""The practice claims on the trained model: cheap ones run for real, or on recordings of a known kind.

Every check has a negative control: the same code on a broken variant must change the verdict.
"""

import numpy as np
import pytest
from models import denoiser
from verdicts import MODULES, verdict

from analysis.experiments import recordings, sizes
from analysis.experiments import trained as experiments
from modiff_sim import Verdict
from modiff_sim.nn import zoo


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Distributions of the trained model, recorded once, at a small size."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MODIFF_OUT", str(tmp_path_factory.mktemp("out")))
    small = sizes.Effort("quick", steps=10, n=8, weight_bits=(8,), n_recorded=8)
    patch.setitem(sizes.EFFORTS, "quick", small)
    yield experiments.distributions("quick")
    patch.undo()


@pytest.mark.parametrize("name", MODULES)
def test_every_practice_claim_says_that_digits_stand_in(name):
    assert "stand-in" in MODULES[name].CLAIM.statement


@pytest.mark.parametrize(
    ("name", "broken"), [("zero_bits_equal_caching", {"bits": 2}), ("reset_every_step", {"refresh": 2})]
)
def test_special_cases_on_a_model_of_a_few_layers(name, broken, monkeypatch):
    """What holds bit for bit, or as a count of MACs, does not depend on the model; the trained one's is committed."""
    monkeypatch.setattr(zoo, "load", lambda model: denoiser())
    assert verdict(name) == Verdict.HOLDS
    assert verdict(name, **broken) == Verdict.VIOLATED


@pytest.mark.parametrize(
    ("name", "found", "broken", "then"),
    [
        ("kappa_on_real_residuals", Verdict.HOLDS, {"shrink": 0.5}, Verdict.VIOLATED),
        ("differences_at_every_step", Verdict.VIOLATED, {"factor": 1.0}, Verdict.HOLDS),
        ("assumption_29_on_real_residuals", Verdict.HOLDS, {"limit": 0.1}, Verdict.PREMISE_FAILS),
        ("assumption_29_residuals_per_sample", Verdict.HOLDS, {"limit": 0.1}, Verdict.PREMISE_FAILS),
    ],
)
def test_claims_on_recorded_distributions(recorded, name, found, broken, then):
    assert verdict(name) == found
    assert verdict(name, **broken) == then


@pytest.mark.parametrize(("factor", "found"), [(1.0, Verdict.HOLDS), (1000.0, Verdict.VIOLATED)])
def test_the_median_ratio_of_inputs_and_differences(recorded, factor, found):
    assert verdict("differences_ten_times_smaller", factor=factor) == found


@pytest.mark.parametrize(("noise", "found"), [(2.0, Verdict.HOLDS), (0.5, Verdict.VIOLATED)])
def test_the_differences_of_two_samplers_are_compared(monkeypatch, noise, found):
    """Random walks whose steps are so many times as large under DDPM as under DDIM."""

    def layer_inputs(effort, *, steps, images, spacing, sampler):
        size = noise if sampler == "ddpm" else 1.0
        walk = np.cumsum(np.random.default_rng(0).standard_normal((steps, images, 64)), axis=0)
        return {"only": 100.0 + size * walk}

    monkeypatch.setattr(recordings, "layer_inputs", layer_inputs)
    assert verdict("ddpm_residuals_larger") == found


@pytest.mark.parametrize(("outlier", "found"), [(0.0, Verdict.HOLDS), (100.0, Verdict.VIOLATED)])
def test_the_tails_of_inputs_and_differences(monkeypatch, outlier, found):
    """Normal inputs and differences; an outlier at rest is in the inputs alone."""

    def layer_inputs(effort, *, steps, images, spacing):
        a = np.cumsum(np.random.default_rng(0).standard_normal((steps, images, 256)), axis=0)
        a[..., 0] += outlier
        return {"only": a}

    monkeypatch.setattr(recordings, "layer_inputs", layer_inputs)
    assert verdict("differences_have_tails_too") == found
