"""Plans of scales: each is measured once, and ranges from full-precision values share a pass."""

import numpy as np
import pytest

import modiff_sim as ms
from analysis.experiments import scale_plans
from analysis.experiments.scale_plans import ScalePlan, ScaleSizes, errors

SIZES = ScaleSizes(steps=4, calibration=2, judged=3)
PLANS = [
    ScalePlan("mse", 4, "difference"), ScalePlan("minmax", 4, "difference"), ScalePlan("minmax", 3, "difference"),
    ScalePlan("dynamic", 4), ScalePlan("dynamic", 4, recursion="direct"),
]  # fmt: skip


@pytest.fixture
def seeds(monkeypatch, tmp_path):
    """The seeds of everything that is sampled, in an empty store."""
    monkeypatch.setenv("MODIFF_OUT", str(tmp_path))
    for remembered in (scale_plans._seen, scale_plans.exact):
        remembered.cache_clear()
    asked = []

    def sampled(model, steps, images, seed, **options):
        asked.append(seed)
        return original(model, steps, images, seed, **options)

    original = scale_plans.sampled
    monkeypatch.setattr(scale_plans, "sampled", sampled)
    return asked


def test_three_calibrations_take_one_pass_and_what_is_measured_is_not_measured_again(seeds):
    found = errors(PLANS, SIZES)
    assert seeds.count(scale_plans.CALIBRATION_SEED) == 1
    assert seeds.count(scale_plans.SEED) == 1 + len(PLANS)  # full precision, and each plan
    again = errors(PLANS[::-1], SIZES)
    assert len(seeds) == 2 + len(PLANS)
    assert all(np.array_equal(a, b) for a, b in zip(found, again[::-1], strict=True))
    assert len({error.tobytes() for error in found}) == len(PLANS)


def test_a_plan_is_what_its_definition_says(seeds):
    """Ranges of a plan are those of ``calibrate``, and its error is that of the run with them."""
    from modiff_sim.nn import calibrate, modulated, sample, zoo

    model = zoo.load("digits")
    options = {"steps": SIZES.steps, "batch": SIZES.calibration, "images": SIZES.calibration, "seed": 1}
    ranges = calibrate(
        model, lambda resets: sample(model, on_batch=resets, **options), bits=4, quantizer="mse", target="difference"
    )
    assert scale_plans.activations(PLANS[0], SIZES).ranges == ranges.ranges
    options = {"steps": SIZES.steps, "batch": SIZES.judged, "images": SIZES.judged, "seed": 0}
    full = sample(model, **options)
    for plan, recursion in ((PLANS[3], "closed_loop"), (PLANS[4], "direct")):
        with modulated(model, activations=ms.AbsMax(4), recursion=recursion):
            images = sample(model, **options)
        off = np.linalg.norm((images - full).reshape(3, -1), axis=1) / np.linalg.norm(full.reshape(3, -1), axis=1)
        assert np.allclose(errors([plan], SIZES)[0], off, rtol=1e-6)
