"""Sampling a mixture quantized, and the measures of how far it is from exact truth: each against its own oracle."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim import nn
from modiff_sim.diffusion.mixture_sampling import (
    CACHE,
    FULL_PRECISION,
    Truth,
    injected_variance,
    mode_counts,
    quantized_sampling,
    sample_mixture,
    total_variation,
    wasserstein2,
)
from modiff_sim.diffusion.mixtures import GaussianMixture, grid, ring
from modiff_sim.diffusion.noise import FixedNoise, image_noise
from modiff_sim.diffusion.samplers import SAMPLERS, ddim, ddpm
from modiff_sim.diffusion.schedules import Schedule, linear

EPS = np.finfo(np.float64).eps
RING = ring(d=3)


# noise -----------------------------------------------------------------------------------------------------------


def test_an_image_has_its_own_noise_whatever_the_others():
    few, many = FixedNoise(5, 2, 3), FixedNoise(5, 4, 3)
    assert np.array_equal(few.start, many.start[:2])
    later = many(2).copy()  # asked out of order
    assert np.array_equal(few(0), many(0)[:2])
    assert np.array_equal(few(2), later[:2])
    own = image_noise(5, 1)
    assert np.array_equal(few.start[1], own.standard_normal(3))
    assert np.array_equal(few(0)[1], own.standard_normal(3))
    assert not np.array_equal(FixedNoise(5, 2, 3, stream=1).start, few.start)
    assert len(many) == 4


def test_noise_is_the_same_at_every_reading_and_cannot_be_written():
    noise = FixedNoise(0, 2, 2)
    assert noise(1) is noise(1)
    with pytest.raises(ValueError, match="read-only"):
        noise.start[0] = 0
    for bad in ((0, 2), (2, 0)):
        with pytest.raises(ValueError, match=">= 1"):
            FixedNoise(0, *bad)
    for seed in (None, -1, 0.5):
        with pytest.raises(ValueError, match="seed must be an int >= 0"):
            FixedNoise(seed, 2, 2)
    for call in (-1, math.inf):
        with pytest.raises(ValueError, match="call must be an int >= 0"):
            noise(call)


def test_there_is_one_definition_of_an_images_noise():
    assert nn.image_noise is image_noise


# measures --------------------------------------------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 2**31))
def test_wasserstein_is_the_best_of_all_pairings(n, d, seed):
    x, y = np.random.default_rng(seed).standard_normal((2, n, d))
    best = min(((x - y[list(p)]) ** 2).sum() / n for p in itertools.permutations(range(n)))
    assert wasserstein2(x, y) == pytest.approx(math.sqrt(best), rel=16 * EPS)
    # in one dimension sorting pairs best
    a, b = np.sort(x[:, :1], axis=0), np.sort(y[:, :1], axis=0)
    assert wasserstein2(x[:, :1], y[:, :1]) == pytest.approx(math.sqrt(((a - b) ** 2).mean()), rel=16 * EPS)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=2), st.integers(0, 2**31))
def test_wasserstein_of_a_shift_is_its_length(shift, seed):
    x = np.random.default_rng(seed).standard_normal((12, 2))
    assert wasserstein2(x, x + shift) == pytest.approx(np.hypot(*shift), rel=1e-12, abs=1e-12)
    assert wasserstein2(x, x[::-1]) == 0


@pytest.mark.parametrize("place", [0, 1])
def test_a_distance_of_samples_that_are_not_finite_is_refused_by_name(place):
    samples = [np.zeros((2, 2)), np.zeros((2, 2))]
    samples[place][0, 1] = np.nan
    with pytest.raises(ValueError, match=f"^{'xy'[place]} must be finite"):
        wasserstein2(*samples)


def test_measures_refuse():
    with pytest.raises(ValueError, match=r"equal shape \(n, d\), got \(2, 2\) and \(3, 2\)"):
        wasserstein2(np.zeros((2, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="equal shape"):
        wasserstein2(np.zeros((0, 2)), np.zeros((0, 2)))


def test_modes_and_total_variation():
    mixture = GaussianMixture([[0.0], [4.0], [9.0]], 0.5, [1, 1, 2])
    counts = mode_counts(mixture, np.array([[0.1], [3.0], [4.5], [1.9], [4.1]]))
    assert counts.tolist() == [2, 3, 0]
    assert total_variation(counts, mixture.w) == pytest.approx(0.5 * (0.15 + 0.35 + 0.5))
    assert total_variation(np.array([1, 1, 2]), mixture.w) == 0


def test_exact_samples_pass_for_exact():
    """No measure is fooled by truth: likelihood within its interval, W₂ within the floor's range, p value not small."""
    truth = Truth.of(grid(3, d=4), 400, 0)
    exact = grid(3, d=4).sample(np.random.default_rng(9), 400)
    measured = truth.measure(exact, exact)
    assert abs(measured["log_likelihood"] + truth.entropy) < 2 * measured["log_likelihood_half_width"]
    floor = [wasserstein2(x, truth.exact) for x in truth.others]
    assert min(floor) / 1.5 < measured["w2"] < 1.5 * max(floor)
    assert measured["chi2_p"] > 1e-3
    assert measured["lost"] == measured["path_rms"] == measured["relative_l2"] == 0
    # and every one of them sees samples of which a quarter sits in one mode
    wrong = np.where(np.arange(400)[:, None] % 4 == 0, grid(3, d=4).means[0], exact)
    measured = truth.measure(wrong, exact)
    assert measured["chi2_p"] < 1e-9
    assert measured["w2"] > 1.5 * max(floor)
    assert measured["total_variation"] > 0.15
    assert measured["path_rms"] > 0.5


# the injected noise ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("spacing", ["uniform", "quad", "trailing"])
def test_injected_variance_is_what_the_sampler_adds(eta, spacing):
    """Noise that is 1 at one call and 0 at all others, with a denoiser that returns 0: x after the call is σ of it."""
    schedule = linear(100).spaced(12, spacing=spacing)
    expected = injected_variance(schedule, eta)
    for call in range(len(schedule)):
        seen = []
        samplers = [(ddim, {"eta": eta})] + ([(ddpm, {})] if eta == 1 else [])
        for sampler, options in samplers:
            sampler(
                lambda x, t: np.zeros_like(x),
                np.zeros((1, 1)),
                schedule,
                noise=lambda k, call=call: np.full((1, 1), float(k == call)),
                callback=lambda k, t, x, x0, call=call, seen=seen: seen.append(x.item()) if k == call else None,
                **options,
            )
        np.testing.assert_allclose(np.square(seen), expected[call], rtol=1e-9, atol=1e-15)
    assert expected[-1] == 0
    assert injected_variance(Schedule(np.array([1.0]), np.array([0])))[0] == 0


# sampling --------------------------------------------------------------------------------------------------------


class Replaced(FixedNoise):
    """The first image's noise from ``kept``, the others' from this."""

    def __init__(self, kept, seed):
        super().__init__(seed, len(kept), kept.d)
        self.kept = kept
        self.start = np.concatenate([kept.start[:1], self.start[1:]])

    def __call__(self, call):
        return np.concatenate([self.kept(call)[:1], super().__call__(call)[1:]])


def test_an_image_depends_on_its_own_noise_only():
    """Per-sample scales, and the same batch shape: the other images may be anything."""
    noise = FixedNoise(0, 4, 3)
    x, y = (
        sample_mixture(RING, ms.AbsMax(3), "closed_loop", noise=drawn, steps=10, sampler="ddpm")
        for drawn in (noise, Replaced(noise, 1))
    )
    assert np.array_equal(x[0], y[0])
    assert not np.array_equal(x[1], y[1])


def test_runs_repeat_and_stochastic_rounding_does_too():
    noise = FixedNoise(0, 3, 3)
    for Q in (None, ms.AbsMax(4), ms.Stochastic(4)):
        a, b = (sample_mixture(RING, Q, "closed_loop", noise=noise, steps=6, sampler="ddpm") for _ in range(2))
        assert np.array_equal(a, b)


def test_many_bits_are_full_precision():
    """RMS over images: a single one may pass near a point where its mode is decided, and is then sensitive."""
    noise = FixedNoise(0, 64, 3)
    full = sample_mixture(RING, noise=noise, steps=20)
    last = np.inf
    for bits in (4, 8, 12, 16):
        x = sample_mixture(RING, ms.AbsMax(bits), "closed_loop", noise=noise, steps=20)
        distance = np.sqrt(((x - full) ** 2).mean())
        assert distance < last / 4  # 16 times the levels
        last = distance
    assert last < 1e-4


def test_sampling_refuses():
    with pytest.raises(ValueError, match="known: ddim, ddpm"):
        sample_mixture(RING, noise=FixedNoise(0, 2, 3), sampler="leapfrog")
    with pytest.raises(ValueError, match="plms has no option eta; known: clip"):
        sample_mixture(RING, noise=FixedNoise(0, 2, 3), sampler="plms", eta=0.5)
    with pytest.raises(ValueError, match="2 dimensions, the mixture 3"):
        sample_mixture(RING, noise=FixedNoise(0, 2, 2))
    with pytest.raises(ValueError, match=r"images.* int >= 2"):
        quantized_sampling(RING, images=1)
    with pytest.raises(ValueError, match="known: absmax"):
        quantized_sampling(RING, quantizer="best")
    with pytest.raises(ValueError, match="unknown recursion 'closed'; known: direct, open_loop, closed_loop"):
        quantized_sampling(RING, recursions=["closed"])
    with pytest.raises(TypeError, match="or a Recursion, got 1"):
        quantized_sampling(RING, recursions=[1])
    with pytest.raises(TypeError, match="a GaussianMixture, got 'ring'"):
        quantized_sampling("ring")


def test_the_rows_of_a_sweep():
    rows = quantized_sampling(grid(4, d=8), bits=(2, 4), steps=(5, 20), images=64, seed=1)
    arms = {(r["recursion"], r["bits"]) for r in rows}
    assert arms == {(FULL_PRECISION, 32), (CACHE, 0), *itertools.product(ms.RECURSIONS, (2, 4))}
    assert len(rows) == 2 * 2 * len(arms)
    assert len({frozenset(r) for r in rows}) == 1  # tidy: the same columns
    assert all(math.isfinite(v) for r in rows for v in r.values() if not isinstance(v, str))
    by = {(r["sampler"], r["steps"], r["recursion"], r["bits"]): r for r in rows}
    for (sampler, steps, recursion, _), row in by.items():
        full = by[sampler, steps, FULL_PRECISION, 32]
        # the coupling by noise bounds W₂ between the two, and with the triangle inequality what they differ by
        assert abs(row["w2"] - full["w2"]) <= row["path_rms"] + 1e-12
        assert row["lost"] == pytest.approx(full["log_likelihood"] - row["log_likelihood"], abs=1e-12)
        assert (row["path_rms"] == 0) == (recursion == FULL_PRECISION)
    twenty = {k[2:]: r for k, r in by.items() if k[:2] == ("ddim", 20)}
    assert twenty["closed_loop", 4]["path_rms"] < twenty["direct", 4]["path_rms"] < twenty["direct", 2]["path_rms"]
    # caching alone: a likelihood that may look good, and most modes missing
    assert twenty[CACHE, 0]["chi2_p"] < 1e-9
    assert twenty[CACHE, 0]["total_variation"] > 2 * twenty["closed_loop", 4]["total_variation"]
    few, many = (by["ddim", n, FULL_PRECISION, 32]["difference_rms"] for n in (5, 20))
    assert few > 2 * many > 0
    again = quantized_sampling(grid(4, d=8), bits=(2, 4), steps=(5, 20), images=64, seed=1)
    assert again == rows


def test_a_sweep_has_all_recursions_and_six_bit_widths_unless_others_are_given():
    rows = quantized_sampling(RING, images=4, steps=(2,))
    arms = {(FULL_PRECISION, 32), (CACHE, 0), *itertools.product(ms.RECURSIONS, (2, 3, 4, 5, 6, 8))}
    assert {(r["sampler"], r["recursion"], r["bits"]) for r in rows} == {
        (sampler, *arm) for sampler, arm in itertools.product(("ddim", "ddpm"), arms)
    }


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_can_be_quantized(sampler):
    """Each layer is called once per model call, and the closed loop is nearer to full precision than no loop."""
    noise, seen = FixedNoise(0, 16, 3), []
    options = {"noise": noise, "steps": 12, "sampler": sampler}
    full = sample_mixture(RING, observers=[seen.append], **options)
    for layer in ("logits", "mean"):
        calls = [each.call for each in seen if each.layer.name == layer]
        assert calls == list(range(SAMPLERS[sampler].calls(linear().spaced(12, spacing="quad"))))
    direct, closed = (
        np.sqrt(((sample_mixture(RING, ms.AbsMax(4), recursion, **options) - full) ** 2).mean())
        for recursion in ("direct", "closed_loop")
    )
    assert 0 < closed < direct  # clearly so at 4 bits; at 6 bits one of 16 images may decide
