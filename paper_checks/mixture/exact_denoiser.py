"""The two linear layers compute the mixture's best noise prediction."""

import math

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, mixtures
from modiff_sim.diffusion.denoisers import Linear, MixtureDenoiser
from modiff_sim.diffusion.schedules import linear

from .. import _shared
from ._controls import NoNorms, unweighted

ORDER = 1
CLAIM = Claim(
    id="exact_denoiser",
    statement="For a Gaussian mixture the best noise prediction E[ε|x] is a network of two linear layers, "
    "h = C x and μ̂ = Cᵀ softmax(√ᾱ/v·h + β) + m: equal to the closed form at every noise level (largest difference).",
    source="this project",
    relation="equal",
)


def rounding(denoiser: MixtureDenoiser, x: np.ndarray, alpha_bar: float) -> float:
    """Return how far the two forms can be apart in floats.

    Logits are sums of d products (and, in the closed form, of d squares), each off by (d+4)·eps times the sum of its
    terms' absolute values. Errors δ in logits move every r_k by a factor within e^(±2δ), so μ̂ by at most
    (2δ + K·eps)·max|C|, and eps_hat by that times √(ᾱ(1-ᾱ))/v, besides 4 roundings of x and μ̂.
    """
    mixture, eps = denoiser.mixture, _shared.EPS
    C, v = denoiser.layers[0].weight, alpha_bar * mixture.sigma**2 + 1 - alpha_bar
    noisy = mixture.at(alpha_bar)
    terms = math.sqrt(alpha_bar) / v * (np.abs(x) @ np.abs(C).T).max()
    squares = max(float(((x - mu) ** 2).sum(axis=1).max()) for mu in noisy.means) / (2 * v)
    shift = np.abs(mixture.means).sum(axis=1).max() * np.abs(mixture.means).max() * alpha_bar / v
    delta = (mixture.d + 4) * eps * (terms + squares + shift + np.abs(np.log(mixture.w)).max())
    reach = np.abs(mixture.means).max()
    mu = 2 * (2 * delta + len(C) * eps) * np.abs(C).max() + 4 * eps * reach
    return math.sqrt(1 - alpha_bar) / v * (math.sqrt(alpha_bar) * mu + 4 * eps * np.abs(x).max())


def check(effort: str = "quick", *, network=MixtureDenoiser) -> Evidence:
    """Compare the two layers with the closed form, for all mixtures and several noise levels."""
    schedule, rng = linear(), np.random.default_rng(620)
    off = mixtures.GaussianMixture(5 + rng.standard_normal((20, 16)), 0.5, rng.uniform(0.2, 1, 20))
    named = {f"{name}, d = {d}": make(d=d) for name, make in mixtures.MIXTURES.items() for d in (2, 64)}
    ts = (0, 1, 10, 100, 300, 600, 999) if effort == "quick" else range(0, 1000, 9)
    measured, atol, cases = [], [], []
    for name, mixture in (named | {"off-centre, d = 16": off}).items():
        exact, denoiser = MixtureDenoiser(mixture, schedule), network(mixture, schedule)
        for t in ts:
            alpha_bar = float(schedule.alpha_bar[t])
            x = mixture.at(alpha_bar).sample(rng, 64)
            measured.append(float(np.abs(denoiser(x, t) - mixture.eps(x, alpha_bar)).max()))
            atol.append(rounding(exact, x, alpha_bar))
            cases.append(f"{name}, t = {t}")
    return Evidence(
        claimed=0.0,
        measured=measured,
        atol=atol,
        cases=cases,
        seed=620,
        note=f"at most {max(measured):.1g} apart over {len(cases)} mixtures and noise levels",
    )


def bias_twice(mixture, schedule):
    """Return the denoiser that adds the bias twice."""
    return MixtureDenoiser(mixture, schedule, lambda layer, a: 2 * layer.affine(a) - layer.linear(a))


def no_bias(mixture, schedule):
    """Return the denoiser without the bias."""
    return MixtureDenoiser(mixture, schedule, Linear.linear)


CONTROLS = [
    ({"network": NoNorms}, Verdict.VIOLATED),
    ({"network": bias_twice}, Verdict.VIOLATED),
    ({"network": no_bias}, Verdict.VIOLATED),
    ({"network": unweighted}, Verdict.VIOLATED),
]
