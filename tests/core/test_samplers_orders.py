"""Samplers on exact denoisers: they reach the exact flow, and as fast as they declare."""

import importlib
import math
from dataclasses import replace

import numpy as np
import pytest

from modiff_sim.diffusion.mixtures import GaussianMixture
from modiff_sim.diffusion.samplers import SAMPLERS
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
