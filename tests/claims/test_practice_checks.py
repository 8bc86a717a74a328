"""The practice claims on the trained model: cheap ones run for real, quality ones on images of known quality.

Every check has a negative control: the same code on a broken variant must change the verdict.
"""

import dataclasses

import numpy as np
import pytest
from models import denoiser
from verdicts import MODULES, verdict

from analysis.datasets import digits
from analysis.experiments import arms, recordings, sizes
from analysis.experiments import digits as experiments
from modiff_sim import Verdict
from modiff_sim.evidence import judge
from modiff_sim.nn import zoo


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Distributions of the trained model, recorded once, at a small size."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MODIFF_OUT", str(tmp_path_factory.mktemp("out")))
    small = sizes.Effort("quick", steps=10, n=8, n_key=8, n_fine=8, weight_bits=(8,), n_recorded=8)
    patch.setitem(sizes.EFFORTS, "quick", small)
    yield experiments.distributions("quick")
    patch.undo()


@pytest.fixture
def known_quality(monkeypatch):
    """Arms made of real digits and a little noise in common; direct has more noise, the open loop most.

    A twentieth of the resamples of a claim is enough for intervals of differences as large as these.
    """
    real, _ = digits()
    rng = np.random.default_rng(0)
    noise = {"direct": 0.3, "open_loop": 0.9, "closed_loop": 0.0}

    def arm_images(arm, effort, n):
        level = 0.0 if arm == arms.FULL else noise[arm.recursion] * (4 / arm.bits) + 0.5 * (arm.bits == 2)
        shared = 0.1 * np.random.default_rng(1).standard_normal((n, 1, 8, 8)).astype(np.float32)
        return real[np.arange(n) % len(real)] + shared + level * rng.standard_normal((n, 1, 8, 8)).astype(np.float32)

    quality = experiments.quality

    def quickly(*args, resamples, **options):
        return quality(*args, resamples=resamples // 20, **options)

    monkeypatch.setattr(experiments, "arm_images", arm_images)
    monkeypatch.setattr(experiments, "quality", quickly)
    full = dataclasses.replace(sizes.EFFORTS["full"], n=128, n_fine=1024)
    monkeypatch.setitem(sizes.EFFORTS, "full", full)


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
        ("differences_ten_times_smaller", Verdict.VIOLATED, {"factor": 1.0}, Verdict.HOLDS),
        ("assumption_29_on_real_residuals", Verdict.VIOLATED, {"limit": 1.0}, Verdict.HOLDS),
    ],
)
def test_claims_on_recorded_distributions(recorded, name, found, broken, then):
    assert verdict(name) == found
    assert verdict(name, **broken) == then


@pytest.mark.parametrize(
    ("name", "found", "broken", "then"),
    [
        ("closed_loop_four_bits", Verdict.HOLDS, {"recursion": "open_loop"}, Verdict.VIOLATED),
        ("direct_four_bits", Verdict.HOLDS, {"recursion": "closed_loop"}, Verdict.VIOLATED),
        ("three_bits_without_loss", Verdict.HOLDS, {"bits": 2}, Verdict.VIOLATED),
        ("ablation_order", Verdict.VIOLATED, {"order": ("open_loop", "direct", "closed_loop")}, Verdict.HOLDS),
        ("compensation_helps", Verdict.HOLDS, {"best": "open_loop"}, Verdict.VIOLATED),
    ],
)
def test_quality_claims_on_images_of_known_quality(known_quality, name, found, broken, then):
    """Here "three bits without loss" holds by construction; what is tested is that verdicts follow the images."""
    assert verdict(name, "full") == found
    assert verdict(name, "full", **broken) == then


@pytest.mark.parametrize("name", ["closed_loop_four_bits", "ablation_order"])
def test_too_few_images_decide_nothing(name):
    judged = judge(MODULES[name].CLAIM, MODULES[name].check("quick"))
    assert judged.verdict == Verdict.NOT_RUN
    assert judged.as_expected
    assert "1024" in judged.detail


@pytest.mark.parametrize(("outlier", "found"), [(0.0, Verdict.HOLDS), (100.0, Verdict.VIOLATED)])
def test_the_tails_of_inputs_and_differences(monkeypatch, outlier, found):
    """Normal inputs and differences; an outlier at rest is in the inputs alone."""

    def layer_inputs(effort, *, steps, images, spacing):
        a = np.cumsum(np.random.default_rng(0).standard_normal((steps, images, 256)), axis=0)
        a[..., 0] += outlier
        return {"only": a}

    monkeypatch.setattr(recordings, "layer_inputs", layer_inputs)
    assert verdict("differences_have_tails_too") == found
