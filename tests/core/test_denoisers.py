"""Gaussian mixtures and their denoiser: against quadrature, finite differences, and the recursion run on its own."""

import math
from dataclasses import replace

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim import recursion as rec
from modiff_sim.diffusion.denoisers import Linear, MixtureDenoiser, modulated_denoiser
from modiff_sim.diffusion.mixtures import MIXTURES, GaussianMixture, grid, ring
from modiff_sim.diffusion.samplers import ddim
from modiff_sim.diffusion.schedules import linear

EPS = np.finfo(np.float64).eps
SCHEDULE = linear()
OFF_CENTRE = GaussianMixture([[3.0, 1.0, -2.0], [4.0, 2.5, -1.0], [5.0, 0.0, -3.0]], 0.4, [1, 2, 3])
LINE = GaussianMixture([[-1.0], [0.5], [2.0]], 0.3, [0.2, 0.5, 0.3])
ALPHA_BARS = (1e-4, 0.1, 0.5, 0.9, 0.999, 1.0)


def points(mixture, alpha_bar, n=20, seed=0):
    return mixture.at(alpha_bar).sample(np.random.default_rng(seed), n)


# the mixture -----------------------------------------------------------------------------------------------------


def test_rounding_of_the_means_spans_nothing():
    """Three means on a line but for 5 roundings of the largest."""
    off = 2.45e-16
    mixture = GaussianMixture([[-1.0, 3 * off], [0.0, 0.0], [1.0, 3 * off]], 0.1)
    inside, basis = mixture.signal()
    assert (inside.d, basis.shape) == (1, (2, 1))
    assert GaussianMixture([[-1.0, 1e-12], [0.0, 0.0], [1.0, 1e-12]], 0.1).signal()[0].d == 2


def test_samples_that_no_machine_holds_are_refused():
    with pytest.raises(MemoryError, match=r"1,000,000,000,000 samples of 1 entries would take 29.1 TiB"):
        LINE.sample(np.random.default_rng(0), 10**12)


def test_the_density_is_one():
    axis = np.linspace(-8, 8, 321)
    x = np.stack([g.ravel() for g in np.meshgrid(axis, axis)], axis=1)
    for mixture in (ring(), grid(4)):
        # the trapezoid rule is exact to rounding for a smooth density that has vanished at the ends
        p = np.exp(mixture.log_density(x))
        cell = (axis[1] - axis[0]) ** 2
        assert abs(p.sum() * cell - 1) < 1e-12
        entropy, half = mixture.entropy(20_000)
        assert abs(-(p * np.log(p + 1e-300)).sum() * cell - entropy) < 2 * half < 0.05


@pytest.mark.parametrize("alpha_bar", ALPHA_BARS[:-1])
def test_posterior_mean_and_noise_against_quadrature(alpha_bar):
    """E[x₀|x] and E[ε|x] by integrating over x₀ on a line: Bayes, and nothing of what the code uses."""
    x0 = np.linspace(-3, 4, 20_001)
    prior = sum(w * np.exp(-((x0 - mu) ** 2) / (2 * 0.3**2)) for w, mu in zip(LINE.w, LINE.means[:, 0], strict=True))
    x = points(LINE, alpha_bar)
    for one, x0_hat, eps_hat in zip(x, LINE.posterior_mean(x, alpha_bar), LINE.eps(x, alpha_bar), strict=True):
        noise = (one[0] - math.sqrt(alpha_bar) * x0) / math.sqrt(1 - alpha_bar)
        posterior = prior * np.exp(-(noise**2) / 2)
        posterior /= posterior.sum()
        # the narrowest posterior, √(1-ᾱ) = 0.03, spans 90 points: the rule is exact to the cut at the ends
        assert abs(posterior @ x0 - x0_hat[0]) < 1e-9
        assert abs(posterior @ noise - eps_hat[0]) < 1e-9


@pytest.mark.parametrize("alpha_bar", ALPHA_BARS)
def test_score_is_the_gradient_of_the_log_density(alpha_bar):
    noisy, h = OFF_CENTRE.at(alpha_bar), 1e-5
    x = points(OFF_CENTRE, alpha_bar)
    shifts = h * np.eye(3)
    numeric = np.stack([(noisy.log_density(x + s) - noisy.log_density(x - s)) / (2 * h) for s in shifts], axis=1)
    # central differences: h² times a third derivative of order 1/σ³, and eps·|log p|/h
    np.testing.assert_allclose(noisy.score(x), numeric, rtol=1e-6, atol=1e-6)
    tweedie = (x + (1 - alpha_bar) * noisy.score(x)) / math.sqrt(alpha_bar)
    np.testing.assert_allclose(OFF_CENTRE.posterior_mean(x, alpha_bar), tweedie, rtol=0, atol=1e-9)


@given(st.floats(0.05, 1), st.floats(0.05, 1))
def test_noise_levels_compose(a, b):
    """Noising to ᾱ and then by β is noising to ᾱβ: the forward process is Markov."""
    once, twice = OFF_CENTRE.at(a * b), OFF_CENTRE.at(a).at(b)
    np.testing.assert_allclose(once.means, twice.means, rtol=8 * EPS)
    assert once.sigma == pytest.approx(twice.sigma, rel=8 * EPS)


@pytest.mark.parametrize("spacing", [1.0, 3.0])
def test_the_weights_of_the_lattice_are_one_period_of_two_waves(spacing):
    """At side 2 the phases are ±π/2: cos(phase + 1) is ∓sin 1, and sin(phase) is ±1."""
    mixture = grid(2, spacing=spacing)
    assert mixture.means.tolist() == [[spacing * x / 2, spacing * y / 2] for y in (-1, 1) for x in (-1, 1)]
    weights = np.array([math.exp((-x * math.sin(1) + y) / 2) for y in (-1, 1) for x in (-1, 1)])
    assert np.allclose(mixture.weights, weights / weights.sum(), rtol=1e-14)


def test_samples_have_the_moments_of_the_mixture():
    n = 40_000
    x = OFF_CENTRE.sample(np.random.default_rng(1), n)
    spread = (OFF_CENTRE.means - OFF_CENTRE.mean).T * OFF_CENTRE.w @ (OFF_CENTRE.means - OFF_CENTRE.mean)
    covariance = spread + 0.16 * np.eye(3)
    assert np.all(np.abs(x.mean(axis=0) - OFF_CENTRE.mean) < 5 * np.sqrt(np.diag(covariance) / n))
    # the variance of a product of two coordinates is below 3·s_i²s_j²
    scale = np.sqrt(3 * np.outer(np.diag(covariance), np.diag(covariance)) / n)
    assert np.all(np.abs(np.cov(x.T) - covariance) < 5 * scale)


@pytest.mark.parametrize("name", MIXTURES)
def test_the_signal_is_what_the_density_depends_on(name):
    mixture = MIXTURES[name](d=7)
    inside, basis = mixture.signal()
    assert basis.shape == (7, 2)
    np.testing.assert_allclose(basis.T @ basis, np.eye(2), atol=16 * EPS)
    x = mixture.sample(np.random.default_rng(2), 50)
    y = (x - mixture.mean) @ basis
    rest = ((x - mixture.mean - y @ basis.T) ** 2).sum(axis=1)
    outside = -rest / (2 * mixture.sigma**2) - 2.5 * math.log(2 * math.pi * mixture.sigma**2)
    np.testing.assert_allclose(inside.log_density(y) + outside, mixture.log_density(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (([[]], 1.0), "shape"),
        (([1.0], 1.0), "shape"),
        (([[np.nan]], 1.0), "finite"),
        (([[1.0]], 0.0), "sigma"),
        (([[1.0]], -1.0), "sigma"),
        (([[1.0]], np.inf), "sigma"),
        (([[1.0]], 1.0, [0.5, 0.5]), "one per mean"),
        (([[1.0], [2.0]], 1.0, [1.0, 0.0]), "positive"),
    ],
)
def test_mixtures_refuse(arguments, match):
    with pytest.raises(ValueError, match=match):
        GaussianMixture(*arguments)


def test_mixtures_refuse_what_they_cannot_do():
    with pytest.raises(ValueError, match=r"alpha_bar must lie in \(0, 1\]"):
        LINE.at(0.0)
    with pytest.raises(ValueError, match=r"shape \(n, 1\)"):
        LINE.log_density(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="n must be an int >= 1"):
        LINE.sample(np.random.default_rng(0), 0)
    with pytest.raises(ValueError, match="int >= 2"):
        LINE.entropy(1)
    with pytest.raises(ValueError, match="coincide"):
        GaussianMixture([[1.0, 2.0], [1.0, 2.0]], 1.0).signal()
    with pytest.raises(ValueError, match="plane"):
        ring(d=1)
    for bad in (0, 1.5, True):
        with pytest.raises(ValueError, match="must be an int >= 1"):
            ring(bad)
        with pytest.raises(ValueError, match="must be an int >= 1"):
            grid(bad)
    with pytest.raises(ValueError, match="read-only"):
        LINE.means[0] = 0


# two linear layers -----------------------------------------------------------------------------------------------


@given(st.integers(0, 999), st.integers(0, 2**31))
def test_two_layers_are_the_closed_form(t, seed):
    alpha_bar = float(SCHEDULE.alpha_bar[t])
    x = points(OFF_CENTRE, alpha_bar, seed=seed)
    # logits of size |x||μ|/v < 500 in 3 terms lose 8·500·eps, which moves μ̂ by as much; √(1-ᾱ)/v < 1/σ
    assert np.abs(MixtureDenoiser(OFF_CENTRE, SCHEDULE)(x, t) - OFF_CENTRE.eps(x, alpha_bar)).max() < 2e4 * EPS


@given(st.integers(0, 999), st.lists(st.floats(-5, 5), min_size=3, max_size=3))
def test_eps_moves_with_the_data(t, shift):
    """Data moved by s and x by √ᾱ·s: the same noise."""
    moved = GaussianMixture(OFF_CENTRE.means + shift, OFF_CENTRE.sigma, OFF_CENTRE.w)
    x = points(OFF_CENTRE, float(SCHEDULE.alpha_bar[t]))
    there = x + math.sqrt(SCHEDULE.alpha_bar[t]) * np.array(shift)
    eps, eps_there = MixtureDenoiser(OFF_CENTRE, SCHEDULE)(x, t), MixtureDenoiser(moved, SCHEDULE)(there, t)
    assert np.abs(eps - eps_there).max() < 1e5 * EPS


@pytest.mark.parametrize("t", [0, 200, 999])
def test_namespaces_and_dtypes(t):
    denoiser = MixtureDenoiser(OFF_CENTRE, SCHEDULE)
    x = points(OFF_CENTRE, float(SCHEDULE.alpha_bar[t]))
    expected = denoiser(x, t)
    Q = ms.AbsMax(4)
    for make in (torch.tensor, array_api_strict.asarray):
        for arm in (denoiser, modulated_denoiser(denoiser, Q, "closed_loop", warmup="quantized")):
            out = arm(make(x), t)
            assert type(out) is type(make(x))
            reference = expected
            if arm is not denoiser:
                reference = modulated_denoiser(denoiser, Q, "closed_loop", warmup="quantized")(x, t)
            # sums of a few products in another order, at most |logits| < 500
            assert np.abs(np.asarray(out) - reference).max() < 1e5 * EPS
    single = denoiser(x.astype(np.float32), t)
    assert single.dtype == np.float32
    assert np.abs(single - expected).max() < 2e4 * np.finfo(np.float32).eps


def test_an_error_of_the_layers_stays_in_the_span_of_the_means():
    """What quantization can do is seen by ``signal``: outside, the noise prediction is the full-precision one."""
    mixture = grid(4, d=9)
    _, basis = mixture.signal()
    x = points(mixture, 0.5)
    noisy = MixtureDenoiser(mixture, SCHEDULE).with_layers(lambda layer, a: layer.affine(a + 0.3 * np.sin(9 * a)))
    difference = noisy(x, 300) - MixtureDenoiser(mixture, SCHEDULE)(x, 300)
    inside = difference @ basis @ basis.T
    assert np.abs(inside).max() > 0.1
    np.testing.assert_allclose(difference, inside, rtol=0, atol=64 * EPS)


@pytest.mark.parametrize(
    ("x", "t", "error", "match"),
    [
        (np.zeros((2, 2)), 0, ValueError, r"shape \(n, 3\)"),
        (np.zeros(3), 0, ValueError, r"shape \(n, 3\)"),
        (np.zeros((2, 3), int), 0, TypeError, "floats"),
        (np.zeros((0, 3)), 0, ValueError, "empty"),
        (np.zeros((2, 3)), 1000, ValueError, r"0 \.\. 999"),
        (np.zeros((2, 3)), -1, ValueError, r"0 \.\. 999"),
    ],
)
def test_the_denoiser_refuses(x, t, error, match):
    with pytest.raises(error, match=match):
        MixtureDenoiser(OFF_CENTRE, SCHEDULE)(x, t)


# modulated -------------------------------------------------------------------------------------------------------


def traced(Q, recursion, **options):
    """The calls of a short DDIM run, and its samples."""
    calls = []
    denoiser = MixtureDenoiser(OFF_CENTRE, SCHEDULE)
    arm = modulated_denoiser(denoiser, Q, recursion, observers=[calls.append], **options)
    start = np.random.default_rng(3).standard_normal((6, 3))
    return (
        calls,
        ddim(arm, start, SCHEDULE.spaced(8, spacing="quad")),
        ddim(denoiser, start, SCHEDULE.spaced(8, spacing="quad")),
    )


def test_full_precision_is_the_denoiser_bit_for_bit():
    _, x, full = traced(ms.Identity(), "direct")
    assert np.array_equal(x, full)


@pytest.mark.parametrize("recursion", ms.RECURSIONS)
@pytest.mark.parametrize("warmup", ["exact", "quantized", 3])
@pytest.mark.parametrize("refresh", ["never", 3])
def test_each_layer_runs_the_recursion_on_its_own_inputs(recursion, warmup, refresh):
    Q = ms.AbsMax(3)
    calls, _, _ = traced(Q, recursion, warmup=warmup, refresh=refresh)
    for layer in MixtureDenoiser(OFF_CENTRE, SCHEDULE).layers:
        mine = [c for c in calls if c.layer.name == layer.name]
        assert [c.call for c in mine] == list(range(8))
        calls_of_it = rec.run(
            recursion, [c.a for c in mine], Q, layer.linear, affine=layer.affine, warmup=warmup, refresh=refresh
        )
        for call, (state, info) in zip(mine, calls_of_it, strict=True):
            # the same sums, in a wider matrix product: rounding of the running ô over 8 calls
            np.testing.assert_allclose(call.output, info.output, rtol=0, atol=256 * EPS)
            np.testing.assert_allclose(call.output, layer.affine(call.a_hat), rtol=0, atol=256 * EPS)
            if recursion == "closed_loop":
                assert np.array_equal(call.a_hat, state.ref)
            exact = not call.info.quantized
            assert np.array_equal(call.a, call.a_hat) == exact
            energies = call.energies()
            assert np.all(energies["error"] == 0) == exact
            np.testing.assert_allclose(energies["error"], ((call.a - call.a_hat) ** 2).sum(axis=1), rtol=8 * EPS)
            if recursion == "closed_loop" and not exact and call.call:  # this call's rounding is the whole error
                lost = ((call.info.residual - call.info.residual_hat) ** 2).sum(axis=1)
                np.testing.assert_allclose(energies["error"], lost, rtol=1e-9, atol=1e-24)
                np.testing.assert_allclose(energies["residual"], (call.info.residual**2).sum(axis=1), rtol=8 * EPS)


def test_the_bias_is_added_once():
    """A bias added at every call would move μ̂ by m at each: the mean layer's output stays near the data instead."""
    calls, x, full = traced(ms.AbsMax(8), "closed_loop")
    outputs = np.stack([c.output for c in calls if c.layer.name == "mean"])
    low, high = OFF_CENTRE.means.min(axis=0), OFF_CENTRE.means.max(axis=0)
    assert np.all(outputs > low - 0.1)
    assert np.all(outputs < high + 0.1)
    assert np.abs(x - full).max() < 0.1


def test_zero_bits_keep_the_first_output():
    calls, _, _ = traced(ms.Zero(), "closed_loop")
    for name in ("logits", "mean"):
        outputs = [c.output for c in calls if c.layer.name == name]
        assert all(np.array_equal(outputs[0], o) for o in outputs)


def test_a_run_needs_a_reset_before_the_next():
    arm = modulated_denoiser(MixtureDenoiser(OFF_CENTRE, SCHEDULE), ms.AbsMax(4))
    x = points(OFF_CENTRE, 0.5)
    first = [arm(x, 500), arm(x + 0.1, 400)]
    with pytest.raises(ValueError, match=r"last call had t = 400 .* call reset\(\)"):
        arm(x, 500)
    with pytest.raises(ValueError, match=r"this one has t = 400 and shape \(19, 3\)"):
        arm(x[1:], 400)
    arm.reset()
    again = [arm(x, 500), arm(x + 0.1, 400)]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_random_bits_are_an_argument():
    denoiser = MixtureDenoiser(OFF_CENTRE, SCHEDULE)
    with pytest.raises(ValueError, match="random="):
        modulated_denoiser(denoiser, ms.Stochastic(4))
    asked = []

    def random(layer, call, shape):
        asked.append((layer, call, shape))
        return np.full(shape, 0.5)

    x = points(OFF_CENTRE, 0.5, n=4)
    arm = modulated_denoiser(denoiser, ms.Stochastic(4), warmup=2, random=random)
    arm(x, 500)
    arm(x, 400)
    first, second = (2, 4, 3), (4, 3)
    assert asked == [("logits", 0, first), ("mean", 0, first), ("logits", 1, second), ("mean", 1, second)]
    # floor(x/s + ½) is rounding to nearest, but for ties
    nearest = modulated_denoiser(denoiser, ms.AbsMax(4), warmup=2)
    arm.reset()
    assert np.array_equal(arm(x, 500), nearest(x, 500))


def test_modulated_refuses():
    denoiser = MixtureDenoiser(OFF_CENTRE, SCHEDULE)
    with pytest.raises(ValueError, match="known: direct, open_loop, closed_loop"):
        modulated_denoiser(denoiser, ms.AbsMax(4), "loop")
    with pytest.raises(ValueError, match="warmup"):
        modulated_denoiser(denoiser, ms.AbsMax(4), warmup=0)
    with pytest.raises(ValueError, match="refresh"):
        modulated_denoiser(denoiser, ms.AbsMax(4), refresh=0)
    arm = modulated_denoiser(denoiser, ms.AbsMax(4))
    x = points(OFF_CENTRE, 0.5)
    arm(x, 500)
    x[3, 1] = np.nan
    with pytest.raises(ValueError, match="layer 'logits', call 1: the input is not finite: 1 of 60 entries"):
        arm(x, 400)


def test_a_layer_without_bias_is_linear():
    layer = Linear("l", np.arange(6.0).reshape(2, 3))
    a = np.ones((1, 3))
    assert np.array_equal(layer.affine(a), layer.linear(a))
    assert np.array_equal(layer.linear(a), [[3.0, 12.0]])


@pytest.mark.parametrize("weight", [np.zeros((0, 3)), np.zeros((3, 0)), np.zeros(3)])
def test_a_layer_needs_a_matrix(weight):
    with pytest.raises(ValueError, match=r"layer 'l': weight has shape \(out, in\)"):
        Linear("l", weight)


def test_a_schedule_of_another_prediction_is_refused():
    with pytest.raises(ValueError, match="predicts epsilon, the schedule says 'v_prediction'"):
        MixtureDenoiser(ring(), replace(linear(), prediction="v_prediction"))
