"""(37), a step in the proof of Theorem 4.3: does a dynamic scale clip nothing?"""

import numpy as np

from modiff_sim import Claim, Evidence, Floor, MinMaxRaw, Verdict
from modiff_sim.quantizers.laws import SLACK

from .._shared import EPS
from ._single_step import inputs

ORDER = 2.5
CLAIM = Claim(
    id="clipping_error_is_zero",
    statement="With the dynamic min-max scale and an integer zero point no value is clipped, so that the clipping "
    "error is zero; rounding down, as in the proof (largest distance between a value and the clipped one, in steps s).",
    source="(37), proof of Theorem 4.3",
    relation="equal",
    printed=True,
    expected=Verdict.VIOLATED,
    quote="the clipping error is zero",
    reading="codes are clamped to [0, 2^b-1], as the theorem defines them",
    instead=("theorem_4_3_floor", "theorem_4_3_nearest"),
)


def check(effort: str = "quick", *, quantizer=Floor, integer: bool = True) -> Evidence:
    """Measure how far clamping moves a code. Not ``integer``: a zero point that is not rounded clips nothing."""
    rng = np.random.default_rng(12)
    moved, share, cases = [], [], []
    for bits in range(1, 9):
        Q = quantizer(bits)
        for name, x in inputs(bits, 64, rng, 32 if effort == "quick" else 256):
            s = Q.choose_qparams(x).scale
            zero = -x.min(axis=1, keepdims=True) / s
            code = np.floor(x / s + (np.rint(zero) if integer else zero) + SLACK * EPS * (np.abs(x) / s).max())
            away = np.abs(np.clip(code, 0, 2**bits - 1) - code)
            moved.append(float(away.max()))
            share.append(float((away > 0).mean()))
            cases.append(f"b = {bits}, {name}: {share[-1]:.1%} of the values by up to {moved[-1]:g} steps")
    return Evidence(
        claimed=0.0,
        measured=moved,
        cases=cases,
        seed=12,
        note=f"{np.mean(share):.1%} of all values are clipped; the theorem's bound holds all the same",
    )


CONTROLS = [
    ({"integer": False}, Verdict.HOLDS),
    ({"quantizer": MinMaxRaw}, Verdict.VIOLATED),  # the scale is the same: clipping is due to the zero point
]
