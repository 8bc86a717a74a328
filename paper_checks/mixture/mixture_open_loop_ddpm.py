"""Modulation without compensation under DDPM: worse than no modulation at all."""

from modiff_sim import Claim, Evidence, Verdict
from modiff_sim.diffusion.mixture_sampling import injected_variance
from modiff_sim.diffusion.schedules import linear

from .. import _mixture
from .._mixture import MIXTURE, Paired, rms_ratio

ORDER = 10
CLAIM = Claim(
    id="mixture_open_loop_ddpm",
    statement="Without compensation, modulation under DDPM is worse than ordinary quantization at every bit width: the "
    "open loop adds up a rounding error of all noise injected so far (RMS distance to full precision, open loop over "
    "direct; 2 to 8 bits, 50 calls).",
    source="this project",
    relation="lower",
)


def variance() -> float:
    """Return the variance of a coordinate, as the mean over all coordinates."""
    spread = MIXTURE.w @ ((MIXTURE.means - MIXTURE.mean) ** 2).sum(axis=1)
    return float(spread / MIXTURE.d + MIXTURE.sigma**2)


def check(effort: str = "quick", *, recursion="open_loop", sampler: str = "ddpm", steps: int = 50) -> Evidence:
    """Compare the distances of open loop and direct."""
    n = _mixture.images(effort)
    pair = Paired(n, 636)
    measured, low, high, cases = [], [], [], []
    for bits in (2, 4, 8) if effort == "quick" else range(2, 9):
        value, least, most = rms_ratio(
            pair.squares(sampler, steps, bits, recursion), pair.squares(sampler, steps, bits, "direct"), seed=636
        )
        measured.append(value)
        low.append(least)
        high.append(most)
        cases.append(f"{value:.2g} × at {bits} bits")
    injected = float(injected_variance(linear().spaced(steps, spacing="quad")).sum())
    return Evidence(
        claimed=1.0,
        measured=measured,
        low=low,
        high=high,
        cases=cases,
        seed=636,
        params=_mixture.PARAMS | {"images": n, "steps": steps, "sampler": sampler},
        note=f"{', '.join(cases)}; Σσ_t² = {injected:.2g} per coordinate, of data with variance {variance():.2g}",
    )


CONTROLS = [
    ({"recursion": "closed_loop"}, Verdict.VIOLATED),
    ({"sampler": "ddim"}, Verdict.VIOLATED),
]
