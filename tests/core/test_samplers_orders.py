"""Samplers on exact denoisers: they reach the exact flow, and as fast as they declare."""

import importlib
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from modiff_sim.diffusion.mixtures import GaussianMixture
from modiff_sim.diffusion.samplers import SAMPLERS
from modiff_sim.diffusion.schedules import Schedule
from paper_checks.mixture.sampler_orders import (
    GAUSSIAN,
    MEAN,
    STARTS,
    at_the_last_timestep,
    gaussian_flow,
    measured_order,
    smooth,
)

MIXTURE = GaussianMixture([[-1.2], [0.3], [1.0]], 0.5, [0.5, 0.2, 0.3])
DETERMINISTIC = [name for name, sampler in SAMPLERS.items() if sampler.order is not None]


def slope(name: str, mixture: GaussianMixture, exact: np.ndarray) -> float:
    return measured_order(SAMPLERS[name], mixture, exact)


@pytest.fixture(scope="module")
def mixture_flow() -> np.ndarray:
    """By order 3 with 3001 timesteps: within 1e-9, a hundredth of the smallest error that it judges."""
    return at_the_last_timestep(SAMPLERS["dpm_solver_3"], 3001, MIXTURE)


def test_the_reference_is_the_flow(mixture_flow):
    """Two methods meet: order 2 extrapolated (Richardson) and order 3."""
    coarse, fine = (at_the_last_timestep(SAMPLERS["heun"], n, MIXTURE) for n in (501, 1001))
    assert np.abs((4 * fine - coarse) / 3 - mixture_flow).max() < 1e-7
    # and the flow of a line keeps the order of points: quantiles go to quantiles
    assert np.all(np.diff(mixture_flow[:, 0]) > 0)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_declared_order_on_a_gaussian(name):
    """Slopes lie within 0.1 of the order, as the claim ``sampler_orders`` has it."""
    assert slope(name, GAUSSIAN, gaussian_flow()) == pytest.approx(SAMPLERS[name].order, abs=0.1)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_declared_order_on_a_mixture(name, mixture_flow):
    assert slope(name, MIXTURE, mixture_flow) == pytest.approx(SAMPLERS[name].order, abs=0.1)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_one_point_is_exact_in_any_number_of_steps(name):
    """Data at one point m: ε̂ = (x - √ᾱ·m)/√(1-ᾱ) is constant along the flow, and every mean of it is the same."""
    schedule = smooth(10)

    def point(x, t):
        a = float(schedule.alpha_bar[t])
        return (x - math.sqrt(a) * MEAN) / math.sqrt(1 - a)

    end = SAMPLERS[name](point, STARTS, schedule)
    # 28 calls at most of about 10 roundings of |x| <= 3, up to 1/√ᾱ = 17 times as large in x/√ᾱ
    assert np.abs(end - MEAN).max() <= 28 * 10 * 3 * 17 * np.finfo(float).eps


SHORT = {1: (1.0,), 2: (1.0, 0.0), 3: (1.0, 0.0, 0.0), 4: (1.0, 0.0, 0.0, 0.0)}
BROKEN = {
    "plms forgets": ("plms", "pseudo_numerical", "ADAMS_BASHFORTH", SHORT),
    "pndm forgets": ("pndm", "pseudo_numerical", "ADAMS_BASHFORTH", SHORT),
    "only order 1": ("dpm_solver_2", "dpm_solver", "orders", lambda n, order: [1] * n),
    "only order 2": ("dpm_solver_3", "dpm_solver", "orders", lambda n, order: [*(1 + k % 2 for k in range(n - 1)), 1]),
    "order 1 between": ("dpm_solver_3", "dpm_solver", "orders", lambda n, order: [*([1, 2, 3, 1] * n)[: n - 1], 1]),
    "wrong λ": (
        "dpm_solver_pp_2m", "dpm_solver_pp", "signal_and_noise",
        lambda a: (a**0.5, (1 - a) ** 0.5, math.inf if a == 1 else 0.505 * math.log(a / (1 - a))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_sampler_has_another_order(case, monkeypatch):
    name, module, attribute, broken = BROKEN[case]
    monkeypatch.setattr(importlib.import_module(f"modiff_sim.diffusion.samplers.{module}"), attribute, broken)
    assert abs(slope(name, GAUSSIAN, gaussian_flow()) - SAMPLERS[name].order) > 0.3


def test_a_wrong_declaration_is_seen(monkeypatch):
    monkeypatch.setitem(SAMPLERS, "heun", replace(SAMPLERS["heun"], function=SAMPLERS["euler"].function))
    assert slope("heun", GAUSSIAN, gaussian_flow()) < SAMPLERS["heun"].order - 0.5


# one step, in plain numbers ------------------------------------------------------------------------------------

EVEN = (-1.5, -0.9, -0.3, 0.3, 0.9, 1.5, 2.1)
UNEVEN = (-1.5, -1.3, -0.2, 0.7, 0.9, 1.2, 2.1)


def path(name, model, lambdas, prediction="epsilon"):
    """(α, σ, λ, x) at every timestep from x = 0.8, of a model of (x, λ), in plain floats."""
    square = [1 / (1 + math.exp(-2 * at)) for at in lambdas]  # α², the noisiest first
    T = len(square)
    schedule = Schedule(square[::-1], np.arange(T)[::-1], prediction=prediction)
    seen = [0.8]
    SAMPLERS[name](
        lambda x, t: np.full((1, 1), model(float(x[0, 0]), lambdas[T - 1 - t])),
        np.full((1, 1), 0.8),
        schedule,
        callback=lambda call, t, x, x0: seen.append(float(x[0, 0])),
    )
    return [(math.sqrt(a), math.sqrt(1 - a), at, x) for a, at, x in zip(square, lambdas, seen[:T], strict=True)]


def rising(x, at):
    """A prediction that is affine in λ, and blind to x."""
    return 0.4 - 1.7 * at


def test_dpm_solver_2_over_the_midpoint_is_algorithm_1():
    """Lu et al. 2022, algorithm 1: the step is made with the ε̂ of the midpoint in λ alone."""

    def model(x, at):
        return math.sin(2 * x) + 0.3 * at * x - 0.2 * at

    at = path("dpm_solver_2", model, EVEN)
    for begin in (0, 2, 4):
        (a_s, _, l_s, x_s), (a_r, sigma_r, l_r, x_r), (a_t, sigma_t, l_t, x_t) = at[begin : begin + 3]
        u = a_r / a_s * x_s - sigma_r * (math.exp((l_t - l_s) / 2) - 1) * model(x_s, l_s)
        assert x_r == pytest.approx(u, rel=1e-12)
        assert x_t == pytest.approx(a_t / a_s * x_s - sigma_t * (math.exp(l_t - l_s) - 1) * model(u, l_r), rel=1e-12)


@pytest.mark.parametrize("lambdas", [EVEN, UNEVEN])
def test_dpm_solver_2_takes_the_noise_in_the_middle_wherever_it_looked(lambdas):
    """An affine ε̂ is known from any two values: the step is made with that in the middle of the step in λ."""
    at = path("dpm_solver_2", rising, lambdas)
    for (a_s, _, l_s, x_s), (a_t, sigma_t, l_t, x_t) in pairwise(at[::2]):
        eps = rising(x_s, (l_s + l_t) / 2)
        assert x_t == pytest.approx(a_t / a_s * x_s - sigma_t * (math.exp(l_t - l_s) - 1) * eps, rel=1e-12)


@pytest.mark.parametrize("lambdas", [EVEN, UNEVEN])
def test_dpm_solver_3_is_exact_for_a_noise_that_is_affine(lambdas):
    """x_t/α_t - x_s/α_s = -∫exp(-λ)·ε̂ dλ (their proposition 3.1), by quadrature."""
    at = path("dpm_solver_3", rising, lambdas)
    for (a_s, _, l_s, x_s), (a_t, _, l_t, x_t) in pairwise(at[::3]):
        integral, _ = quad(lambda now: math.exp(-now) * rising(0, now), l_s, l_t, epsabs=0, epsrel=1e-13)
        assert x_t == pytest.approx(a_t * (x_s / a_s - integral), rel=1e-12)


@pytest.mark.parametrize("lambdas", [EVEN, UNEVEN])
def test_dpm_solver_pp_2m_takes_the_image_in_the_middle_of_the_step(lambdas):
    """Lu et al. 2022b, algorithm 2: an affine x̂₀ is extrapolated from two calls, however long the step between was, to
    the middle of the next one; the first step has one call."""
    at = path("dpm_solver_pp_2m", rising, lambdas, prediction="sample")
    for i, ((_, sigma_s, l_s, x_s), (a_t, sigma_t, l_t, x_t)) in enumerate(pairwise(at)):
        x0 = rising(x_s, (l_s + l_t) / 2 if i else l_s)
        assert x_t == pytest.approx(sigma_t / sigma_s * x_s - a_t * (math.exp(l_s - l_t) - 1) * x0, rel=1e-12)
