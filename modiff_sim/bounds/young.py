"""What the proof's own recursions give: Young's inequality, (30') and (31')."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._common import checked, unroll


def young_open_loop(d: Any, c: float, *, gain: float = 1.0) -> np.ndarray:
    """(30'): c||A||² [Σ_{k<T-1} 2^(age+1) ||d_k||² + 2^(T-1-t) ||d_{T-1}||²].

    ||e_j||² <= 2(||e_{j-1}||² + c||d_j||²) by Young's inequality ||x+y||² <= 2||x||² + 2||y||², and the first error is
    c||d_0||² alone.
    """
    d = checked(d, c)
    inputs = 2 * c * d**2
    inputs[0] /= 2
    return gain * np.sqrt(unroll(inputs, 2.0))


def young_closed_loop(d: Any, c: float, *, gain: float = 1.0, start: Any = 0.0) -> np.ndarray:
    """(31') with its oldest term tight: ||A||² [Σ_{k<T-1} (2c)^(age+1) ||d_k||² + c(2c)^(T-1-t) ||d_{T-1}||²].

    e_j² <= c||d_j + e_{j-1}||² <= 2c(||d_j||² + e_{j-1}²); with an exact start the first is c||d_0||². An inexact
    start adds (2c)^(j+1)·start² and makes the oldest weight (2c)^(age+1).
    """
    d = checked(d, c, start=start)
    inputs = 2 * c * d**2
    inputs[0] = np.where(np.asarray(start) == 0, inputs[0] / 2, inputs[0])
    return gain * np.sqrt(unroll(inputs, 2 * c, np.asarray(start, np.float64) ** 2))
