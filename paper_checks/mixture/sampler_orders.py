"""Every deterministic sampler converges to the exact probability flow with the order that it declares."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from modiff_sim import Claim, Evidence, Verdict
from modiff_sim.diffusion.denoisers import MixtureDenoiser
from modiff_sim.diffusion.mixtures import GaussianMixture
from modiff_sim.diffusion.samplers import SAMPLERS, Sampler
from modiff_sim.diffusion.schedules import Schedule

ORDER = 3
CLAIM = Claim(
    id="sampler_orders",
    statement="With the exact denoiser of a Gaussian, n timesteps on a smooth noise schedule bring a deterministic "
    "sampler to within O(n^-p) of the exact flow: p = 1 for DDIM and Euler, 2 for DPM-Solver-2, DPM-Solver++(2M), "
    "Heun, PLMS and PNDM, 3 for DPM-Solver-3 (slope of log error against log n, up to the last timestep).",
    source="Lu et al. 2022; Lu et al. 2022b; Liu et al. 2022; Karras et al. 2022",
    relation="equal",
)
MEAN, SIGMA = 0.7, 0.5
GAUSSIAN = GaussianMixture(np.array([[MEAN]]), SIGMA, np.array([1.0]))
STARTS = np.linspace(-2, 2, 9)[:, None]
#: 1 more than a multiple of 2 and 3, so that steps of lower order are not needed to fill up
STEPS = (49, 97, 193, 385)


def smooth(n: int) -> Schedule:
    """Return n timesteps, uneven in λ, on one smooth curve from λ = -2.8 to 2, with a level halfway between two."""
    u = np.linspace(0, 1, 2 * (n - 1) + 1)
    log_snr = 2.0 - 4.0 * u - 0.8 * u**2
    return Schedule(1 / (1 + np.exp(-2 * log_snr)), np.arange(2 * (n - 1), -1, -2))


def at_the_last_timestep(sampler: Sampler, n: int, mixture: GaussianMixture) -> np.ndarray:
    """Return x before the last call, because the step to the clean image does not shrink with n."""
    schedule = smooth(n)
    path: list[np.ndarray] = []
    sampler(MixtureDenoiser(mixture, schedule), STARTS, schedule, callback=lambda call, t, x, x0: path.append(x))
    return path[-2]


def gaussian_flow() -> np.ndarray:
    """Return the exact result: the probability flow of N(m, s²) keeps (x - √ᾱ·m)/√v, with v = ᾱs² + 1 - ᾱ."""
    first, last = (float(smooth(2).alpha_bar[k]) for k in (-1, 0))
    v_first, v_last = (a * SIGMA**2 + 1 - a for a in (first, last))
    return math.sqrt(last) * MEAN + math.sqrt(v_last / v_first) * (STARTS - math.sqrt(first) * MEAN)


def measured_order(sampler: Sampler, mixture: GaussianMixture, exact: np.ndarray) -> float:
    """Return the order of a sampler, fitted over the numbers of steps."""
    errors = [np.abs(at_the_last_timestep(sampler, n, mixture) - exact).max() for n in STEPS]
    return -float(np.polyfit(np.log(np.array(STEPS) - 1), np.log(errors), 1)[0])


def check(effort: str = "quick", *, samplers: Mapping[str, Sampler] = SAMPLERS) -> Evidence:
    """Fit the order of every sampler, up to the next term of the expansion, 1/n: 0.1 from n = 49 on."""
    declared = {name: sampler.order for name, sampler in samplers.items() if sampler.order is not None}
    found = [measured_order(samplers[name], GAUSSIAN, gaussian_flow()) for name in declared]
    shown = ", ".join(f"{name} {p:.2f}" for name, p in zip(declared, found, strict=True))
    return Evidence(
        claimed=list(declared.values()),
        measured=found,
        atol=0.1,
        cases=list(declared),
        note=shown,
        params={"steps": list(STEPS), "mean": MEAN, "sigma": SIGMA},
    )


def declared(name, **changes):
    """Return all samplers, one of them changed."""
    return SAMPLERS | {name: replace(SAMPLERS[name], **changes)}


CONTROLS = [
    ({"samplers": declared("pndm", order=4)}, Verdict.VIOLATED),
    ({"samplers": declared("heun", function=SAMPLERS["euler"].function)}, Verdict.VIOLATED),
]
