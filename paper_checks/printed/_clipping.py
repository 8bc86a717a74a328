"""What the claims on (37) share: how far clamping moves a code that is rounded down, for each way to round zero."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modiff_sim import Evidence, MinMaxRaw
from modiff_sim.quantizers.laws import SLACK

from .._shared import EPS
from ._single_step import inputs

SAID = "; the theorem's bound holds all the same"
UP, NEAREST, EXACT = "up", "nearest", "exact"  # ways to round the zero point -min/s


def clipped(effort: str, zero_point: str, bits: Sequence[int]) -> Evidence:
    """Measure the largest distance between a code before and after clamping, in steps, and the share that is moved.

    A value on a level counts as on it where rounding in float64 puts it just below.
    """
    rng = np.random.default_rng(12)
    moved, share, cases = [], [], []
    for b in bits:
        for name, x in inputs(b, 64, rng, 32 if effort == "quick" else 256):
            s = MinMaxRaw(b).choose_qparams(x).scale
            u, low = x / s, x.min(axis=1, keepdims=True) / s
            slack = SLACK * EPS * np.abs(u).max()
            if zero_point == UP:
                code = np.floor(u + slack) - np.floor(low + slack)
            else:
                code = np.floor(u - (np.rint(low) if zero_point == NEAREST else low) + slack)
            away = np.abs(np.clip(code, 0, 2**b - 1) - code)
            moved.append(float(away.max()))
            share.append(float((away > 0).mean()))
            cases.append(f"b = {b}, {name}: {share[-1]:.1%} of the values by up to {_steps(moved[-1])}")
    return Evidence(
        claimed=0.0,
        measured=moved,
        cases=cases,
        seed=12,
        params={"bits": list(bits)},
        note=f"{np.mean(share):.1%} of all values are clipped"
        + ("; the theorem's bound holds all the same" * any(moved)),
    )


def _steps(number: float) -> str:
    return f"{number:g} {'step' if number == 1 else 'steps'}"
