"""Fitted slopes: exact on exact laws, equal to a plain jackknife, honest intervals; the claims on recorded layers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import paper_checks
from analysis.experiments import recordings
from modiff_sim import Verdict, growth
from modiff_sim.evidence import judge
from paper_checks.growth import _recorded

EPS = np.finfo(float).eps


@given(p=st.floats(-3, 3), size=st.sampled_from([1e-200, 1e-3, 1.0, 1e200]), trials=st.integers(1, 5))
def test_an_exact_power_law_is_found_exactly(p, size, trials):
    """Also where the square of the error is not a float."""
    n = np.arange(1, 65)[:, None]
    fit = growth.power_law(np.repeat(size * n**p, trials, axis=1), first=4)
    # logarithms of up to 500 are right to 1 eps of that; the slope divides by the spread of log n, 0.8
    assert fit.slope == pytest.approx(p, abs=2000 * EPS)
    assert fit.high - fit.low <= 8000 * EPS
    assert fit.low <= fit.slope <= fit.high


def test_an_exponential_has_its_rate():
    n = np.arange(30)
    assert growth.slope(n, 0.7 ** n[:, None]).slope == pytest.approx(np.log(0.7), abs=100 * EPS)


@given(seed=st.integers(0, 1000), trials=st.integers(2, 8))
def test_the_interval_is_the_jackknife_of_least_squares(seed, trials):
    from scipy.stats import t

    rng = np.random.default_rng(seed)
    x, error = np.sort(rng.uniform(0, 3, 12)), rng.lognormal(size=(12, trials))

    def fit(chosen):
        return np.polyfit(x, 0.5 * np.log(np.mean(chosen**2, axis=1)), 1)[0]

    left_out = np.array([fit(np.delete(error, i, axis=1)) for i in range(trials)])
    width = t.ppf(0.95, trials - 1) * np.sqrt((trials - 1) / trials * np.sum((left_out - left_out.mean()) ** 2))
    found = growth.slope(x, error, level=0.9)
    # polyfit solves by SVD: its condition here is below 1e4
    np.testing.assert_allclose(found, [fit(error), fit(error) - width, fit(error) + width], atol=1e-10)


@pytest.mark.parametrize("trials", [3, 8, 48])
def test_a_95_percent_interval_covers_95_percent(trials):
    """Random walks, whose exponent is 1/2 exactly: 400 intervals, 5 standard deviations of a share around 95 %."""
    rng = np.random.default_rng(trials)
    walks = np.linalg.norm(np.cumsum(rng.standard_normal((400, 64, trials, 4)), axis=1), axis=-1)
    fits = [growth.power_law(walk, first=8) for walk in walks]
    share = np.mean([fit.low <= 0.5 <= fit.high for fit in fits])
    assert abs(share - 0.95) < 5 * np.sqrt(0.95 * 0.05 / 400)


def test_a_single_trial_is_a_deterministic_run():
    fit = growth.slope(np.arange(3), np.array([[1.0], [2.0], [1.5]]))
    assert fit.low == fit.slope == fit.high


def test_calls_are_even_on_a_logarithmic_axis():
    found = growth.calls(10, 1000, 21)
    assert (found[0], found[-1], len(found)) == (10, 1000, 21)
    np.testing.assert_allclose(found[1:] / found[:-1], 10**0.1, rtol=0.06)  # rounded to whole calls, 10 and up
    assert growth.calls(1, 5).tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: growth.slope([1, 2], np.zeros((2, 3))), "errors that are not 0"),
        (lambda: growth.slope([1, 2], [[1, 0], [1, 1]]), "at every point in at least two trials"),
        (lambda: growth.slope([1, 2], [[1, np.nan], [1, 1]]), "finite"),
        (lambda: growth.slope([1, 2], [[1, -1], [1, 1]]), "errors >= 0"),
        (lambda: growth.slope([1, 1], np.ones((2, 1))), "two or more different x"),
        (lambda: growth.slope([1, 2, 3], np.ones((2, 1))), "two or more different x"),
        (lambda: growth.slope([1, 2], np.ones((2, 0))), "two or more different x"),
        (lambda: growth.slope([[1], [2]], np.ones((2, 1))), "two or more different x"),
        (lambda: growth.slope([1, 2], np.ones(2)), "two or more different x"),
        (lambda: growth.slope([1, 2], np.ones((2, 2)), level=95), "a probability and must be such that 0 < level < 1"),
        (lambda: growth.power_law(np.ones((15, 2))), "at least 16 calls"),
        (lambda: growth.power_law(np.ones(100)), "at least 16 calls"),
        (lambda: growth.calls(0, 5), "first must be an int >= 1"),
        (lambda: growth.calls(1, np.inf), "last must be an int"),
        (lambda: growth.calls(1, 5, 1), "2 points or more"),
        (lambda: growth.power_law(np.ones((20, 2)), first=1.5), "first must be an int"),
        (lambda: growth.calls(5, 5), "to a later last"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# -- the claims on recorded layers, on inputs that drift as those do ---------------------------------------------------

CLAIMS = {m.CLAIM.id: m for m in paper_checks.claims("practice")}


@pytest.fixture
def drifting(monkeypatch):
    """Layers whose inputs drift persistently, as a trained model's do; ``make reproduce`` takes the trained one."""

    def layer_inputs(effort, *, steps, images, spacing):
        assert spacing == "uniform"
        rng = np.random.default_rng(0)
        drift = 0.1 * rng.standard_normal((steps, images, 64)) + rng.standard_normal((1, images, 64))
        return dict.fromkeys(("first", "second"), np.cumsum(0.01 * drift, axis=0).astype(np.float32))

    monkeypatch.setattr(recordings, "layer_inputs", layer_inputs)
    _recorded.runs.cache_clear()
    yield
    _recorded.runs.cache_clear()


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("growth_recorded_open_loop", {"recursion": "closed_loop"}),
        ("accumulation_three_bits", {"closed": "open_loop"}),
        ("accumulation_three_bits", {"kappa": 1 / 12}),
    ],
)
def test_claims_on_recorded_layers(drifting, name, broken):
    module = CLAIMS[name]
    judged = judge(module.CLAIM, module.check("quick"))
    assert judged.verdict == Verdict.HOLDS, judged.detail
    assert judge(module.CLAIM, module.check("quick", **broken)).verdict == Verdict.VIOLATED


@pytest.mark.parametrize(
    ("late", "broken", "then"),
    [
        (3.0, {}, Verdict.HOLDS),
        (3.0, {"share": 1.0}, Verdict.VIOLATED),
        (3.0, {"spacing": "quad"}, Verdict.VIOLATED),
        (1 / 3, {}, Verdict.VIOLATED),
    ],
)
def test_the_half_in_which_inputs_change_more(monkeypatch, late, broken, then):
    """Inputs of equal size whose differences are so many times larger in the second half, if timesteps are uniform."""

    def layer_inputs(effort, *, steps, images, spacing):
        rng = np.random.default_rng(0)
        speed = np.where(np.arange(steps) < steps // 2, 1.0, late if spacing == "uniform" else 1 / late)
        drift = 1 + 0.3 * rng.standard_normal((steps, images, 64))
        return {"only": 100 + np.cumsum(0.01 * speed[:, None, None] * drift, axis=0)}

    monkeypatch.setattr(recordings, "layer_inputs", layer_inputs)
    module = CLAIMS["features_change_late"]
    judged = judge(module.CLAIM, module.check("quick", **broken))
    assert judged.verdict == then, judged.detail


def test_recorded_runs_are_as_long_as_the_claims_say():
    assert _recorded.SIZES["quick"][0] >= 100
    assert _recorded.SIZES["full"][0] == 250
