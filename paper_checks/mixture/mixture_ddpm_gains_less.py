"""DDPM gains less from error compensation than DDIM: the order of Table 5 against Table 3."""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict

from .. import _mixture
from .._mixture import Paired, interval

ORDER = 9
CLAIM = Claim(
    id="mixture_ddpm_gains_less",
    statement="At equal calls and bits MoDiff's gain over ordinary quantization (RMS distance to full precision, "
    "direct over closed loop) is larger in DDIM than in DDPM, whose fresh noise keeps the differences large (DDIM's "
    "gain over DDPM's; 2, 3, 4 bits, 50 calls).",
    source="this project, on Tables 3 and 5",
    relation="lower",
)


def gain_ratio(*squares: np.ndarray) -> np.ndarray:
    """Return √(direct/closed) of the first sampler over that of the second; each is (resamples, images)."""
    direct, closed, others_direct, others_closed = (s.mean(axis=1) for s in squares)
    return np.sqrt(direct / closed / (others_direct / others_closed))


def check(effort: str = "quick", *, samplers=("ddim", "ddpm"), ours="closed_loop", steps: int = 50) -> Evidence:
    """Compare the gains of the closed loop under both samplers, paired by the noise."""
    n = 2 * _mixture.images(effort)
    pair = Paired(n, 634)
    measured, low, high, cases = [], [], [], []
    for bits in (2, 3, 4):
        squares = [pair.squares(s, steps, bits, arm) for s in samplers for arm in ("direct", ours)]
        value, least, most = interval(gain_ratio, *squares, seed=634)
        measured.append(value)
        low.append(least)
        high.append(most)
        first, second = (float((squares[i].mean() / squares[i + 1].mean()) ** 0.5) for i in (0, 2))
        cases.append(f"{bits} bits: {first:.2g} × against {second:.2g} ×")
    return Evidence(
        claimed=1.0,
        measured=measured,
        low=low,
        high=high,
        cases=cases,
        seed=634,
        params=_mixture.PARAMS | {"images": n, "steps": steps},
        note="; ".join(cases),
    )


CONTROLS = [
    ({"samplers": ("ddpm", "ddim")}, Verdict.VIOLATED),
]
