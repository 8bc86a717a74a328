"""Clipping chosen by its squared error: never worse than absmax in the 2-norm, and typically much better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, MSEClip, Percentile, Verdict, atlas, contraction

from .._shared import EPS

ORDER = 5
CLAIM = Claim(
    id="mse_clipping_c",
    statement="Per block the clipping ratio of least squared error among k/16: no input has a larger "
    "||x-Q(x)||²/||x||² than with absmax, and normal entries at 3 bits and d = 4096 have less than half of it.",
    source="this project",
    relation="upper",
)


def check(effort: str = "quick", *, quantizer=MSEClip) -> Evidence:
    """Compare with absmax input by input, on all distributions and on absmax's worst case; then compare the means."""
    rng = np.random.default_rng(532)
    claimed, measured, cases = [], [], []
    for bits in (2, 3, 4):
        Q, absmax = quantizer(bits), AbsMax(bits)
        inputs = {name: draw(rng, (8, 512)) for name, draw in atlas.DISTRIBUTIONS.items()}
        inputs["absmax's worst case"] = contraction.search(absmax, 512, tries=6, rounds=1).x
        for name, x in inputs.items():
            claimed += contraction.ratios(absmax, x).tolist()
            measured += contraction.ratios(Q, x).tolist()
            cases += [f"b = {bits}, {name}"] * len(x)
    x = rng.standard_normal((8 if effort == "quick" else 64, 4096))
    gains = {}
    for bits in (2, 3, 4, 6):
        ours, theirs = (contraction.ratios(q(bits), x).mean() for q in (quantizer, AbsMax))
        gains[bits] = float(theirs / ours)
        if bits == 3:
            claimed.append(theirs / 2)
            measured.append(ours)
            cases.append("b = 3, mean over normal inputs")
    return Evidence(
        # squared errors of 512 entries that round 4 times, each off by eps·max|x|, against at most ||x||²
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=64 * EPS * 512,
        seed=532,
        params={"absmax's c over this one's, normal, d = 4096": gains},
        note="c of normal inputs falls by " + ", ".join(f"{g:.1f} at {b} bits" for b, g in gains.items()),
    )


@dataclass(frozen=True, kw_only=True)
class Widest(MSEClip):
    """Takes the worst of the clipping ratios."""

    def clipped_at(self, xp, blocks, axes, top):
        """Return the largest range that the candidates allow."""
        return top / self.candidates


CONTROLS = [
    ({"quantizer": Widest}, Verdict.VIOLATED),
    ({"quantizer": AbsMax}, Verdict.VIOLATED),  # no worse, and no gain
    ({"quantizer": Percentile}, Verdict.VIOLATED),
]
