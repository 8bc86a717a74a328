"""Worst inputs for AbsMax in the max norm, whatever the start and the refreshes, and their errors at every call."""

from __future__ import annotations

from typing import Any

import numpy as np

from modiff_sim import AbsMax, Quantizer
from modiff_sim import recursion as rec

from .. import _shared

LADDER = 24  # entries 1, κ, κ², ... of the first input: each in turn is the tie beside the maximum


def worst_inputs(
    bits: int, calls: int, *, warmup: rec.Warmup = "exact", refresh: rec.Refresh = "never", first: float = 1.0
) -> np.ndarray:
    """Return inputs (calls, 1, LADDER) with differences of max norm 1 whose closed loop attains its bound every time.

    The entry with the largest error E moves on by 1, so that it is the residual's maximum 1 + E, which is exact. The
    one with the second largest is put on the tie beside it, κ(1 + E), which takes a difference of at most 1, because
    the ladder has brought it to κE. ``first`` is ||a_T||_inf.
    """
    Q, kappa = AbsMax(bits), AbsMax(bits).kappa(2)
    closed = rec.Scheme("closed_loop", warmup, refresh)
    a = first * kappa ** np.arange(LADDER)[None]
    (state, _), out = closed.advance(None, a, Q), [a]
    for _ in range(1, calls):
        error = a - state.ref
        i, j = np.argsort(-np.abs(error[0]), kind="stable")[:2]
        residual = error.copy()
        residual[0, i] += np.copysign(1.0, error[0, i])
        residual[0, j] = np.copysign(Q.choose_qparams(residual).scale[0, 0] / 2, error[0, j])
        before, a = a, state.ref + residual
        if np.abs(a - before).max() > 1 + 16 * _shared.EPS * first:
            raise AssertionError("the tie needs a larger difference than 1")
        state, _ = closed.advance(state, a, Q)
        out.append(a)
    return np.stack(out)


def errors(recursion: _shared.Recursion, inputs: np.ndarray, Q: Quantizer, *, order: float, **options: Any) -> Any:
    """Return the error (calls, trials) and its slack of a run with warm-up and refresh, with the identity as A."""
    infos = [info for _, info in rec.run(recursion, inputs, Q, **options)]
    error = np.stack([np.linalg.norm(a - s.output, ord=order, axis=-1) for a, s in zip(inputs, infos, strict=True)])
    width = np.sqrt(inputs.shape[-1]) if order == 2 else 1.0
    # a call rounds the residual, â or the sum ô, and two products, each by eps of at most 2·max|a|
    calls = np.arange(1, len(inputs) + 1)[:, None]
    return error, 8 * _shared.EPS * calls * width * np.abs(inputs).max()
