"""The fused kernel of ``simulate`` (extra [fast]): AbsMax with one scale per row, recursion and norms in one walk.

``engines.arrays`` is the definition. Here the same operations are done in the same order for every entry, so states,
max norms and kappa are equal bit for bit; a 2-norm or a c sums the same squares in another order, so it differs by the
rounding of a sum, at most d·eps relative.

The kernel is written over ``lanes``. Short rows are taken in groups of as many as a vector has lanes, so that what is
computed once per row (the scale, the roots and quotients of the norms) is computed for all of them at once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .lanes import (
    compiled,
    larger,
    load,
    maxima,
    nearest,
    nonzero,
    ratio,
    root,
    spread,
    store,
    store_first,
    totals,
    width,
)  # fmt: skip

__all__ = ["TILE", "compiled", "copy", "kernel"]

#: entries of a tile of rows, which is taken through all steps at hand before the next one: 32 KiB of state, as L1 holds
TILE = 2**12
#: entries of a group of rows at most: it is walked over twice, and must be in L1 the second time
GROUP = 2**10
#: rows of a group at most: their parts must be in L1 as well
TOGETHER = 16
Table = np.ndarray | None
#: where in the scratch memory the parts of a norm lie, one vector per row
R_MAX, D_SUM, D_MAX, A_SUM, A_MAX, E_SUM, E_MAX, L_SUM, L_MAX, R_SUM = range(10)

# -- the kernel -------------------------------------------------------------------------------------------------------


def kernel(
    x: np.ndarray, calls: np.ndarray, rows: int, d_all: int, state: np.ndarray | None, base: np.ndarray | None,
    bases: Any, exact: np.ndarray, qmax: Any, start: int, trials: int, error: Table,
    error_inf: Table, d: Table, d_inf: Table, a: Table, a_inf: Table, c: Table, kappa: Table,
) -> int:  # fmt: skip
    """Some consecutive calls of some rows; returns the first call whose residual overflows, or -1. Arrays are flat.

    x, calls:    inputs, and where in x each call's first row begins; calls[0] is the call before, for differences.
                 A row has ``d_all`` entries, a multiple of ``width``, and rows follow each other
    state:       (rows·d_all,) ô, overwritten; with A = 1 and a closed loop it is â as well. None: direct
    base, bases: what call k is compared with, from base[bases[k]] on; None: with the state (closed loop)
    exact:       (calls,) bool: calls in full precision
    qmax:        in the dtype of x
    error, ...:  float64 tables (steps, trials), filled from their entry ``start`` on; None is not measured
    """
    w = width(x)
    zero, most = spread(x, 0.0), spread(x, qmax)
    tile = max(1, TILE // d_all)
    group = 1
    if w * d_all <= GROUP:
        group = w * min(TOGETHER // w, GROUP // (w * d_all))
    part = w * max(group, w)
    parts, sizes, scales = np.zeros(10 * part, x.dtype), np.zeros(part, x.dtype), np.zeros(part, x.dtype)
    for top in range(0, rows, tile):
        bottom = min(top + tile, rows)
        for k in range(len(exact)):
            here, earlier, in_full = calls[k + 1], calls[k], exact[k]
            other = 0
            if base is not None:
                other = bases[k]
            for first in range(top, bottom, group):
                present = min(group, bottom - first)
                to = start + k * trials + first
                for i in range(present):
                    mine = (first + i) * d_all
                    row, before, against = here + mine, earlier + mine, other + mine
                    r_max, d_sum, d_max, a_sum, a_max = zero, zero, zero, zero, zero
                    for j in range(0, d_all, w):
                        now = load(x, row + j)
                        residual, step = now, now - load(x, before + j)
                        if base is not None:
                            residual = now - load(base, against + j)
                        elif state is not None:
                            residual = now - load(state, mine + j)
                        r_max = larger(r_max, abs(residual))
                        if d is not None:
                            d_sum = d_sum + step * step
                        if d_inf is not None:
                            d_max = larger(d_max, abs(step))
                        if a is not None:
                            a_sum = a_sum + now * now
                        if a_inf is not None:
                            a_max = larger(a_max, abs(now))
                    here_too = i * w
                    store(parts, R_MAX * part + here_too, r_max)
                    if d is not None:
                        store(parts, D_SUM * part + here_too, d_sum)
                    if d_inf is not None:
                        store(parts, D_MAX * part + here_too, d_max)
                    if a is not None:
                        store(parts, A_SUM * part + here_too, a_sum)
                    if a_inf is not None:
                        store(parts, A_MAX * part + here_too, a_max)

                for i in range(0, present, w):
                    size = maxima(parts, R_MAX * part + i * w)
                    store(sizes, i, size)
                    store(scales, i, nonzero(size / most))
                if not in_full:
                    for i in range(present):
                        if not np.isfinite(sizes[i]):
                            return k

                for i in range(present):
                    mine = (first + i) * d_all
                    row, against = here + mine, other + mine
                    e_sum, e_max, l_sum, l_max, r_sum = zero, zero, zero, zero, zero
                    if in_full:
                        if state is not None:
                            for j in range(0, d_all, w):
                                store(state, mine + j, load(x, row + j))
                    else:
                        scale = spread(x, scales[i])
                        for j in range(0, d_all, w):
                            now = load(x, row + j)
                            residual = now
                            if base is not None:
                                residual = now - load(base, against + j)
                            elif state is not None:
                                residual = now - load(state, mine + j)
                            hat = scale * nearest(residual / scale)
                            o_hat = hat
                            if state is not None:
                                o_hat = load(state, mine + j) + hat
                                store(state, mine + j, o_hat)
                            off, lost = now - o_hat, residual - hat
                            if error is not None:
                                e_sum = e_sum + off * off
                            if error_inf is not None:
                                e_max = larger(e_max, abs(off))
                            if c is not None:
                                l_sum = l_sum + lost * lost
                                r_sum = r_sum + residual * residual
                            if kappa is not None:
                                l_max = larger(l_max, abs(lost))
                    here_too = i * w
                    if error is not None:
                        store(parts, E_SUM * part + here_too, e_sum)
                    if error_inf is not None:
                        store(parts, E_MAX * part + here_too, e_max)
                    if c is not None:
                        store(parts, L_SUM * part + here_too, l_sum)
                        store(parts, R_SUM * part + here_too, r_sum)
                    if kappa is not None:
                        store(parts, L_MAX * part + here_too, l_max)

                for i in range(0, present, w):
                    mine = i * w
                    if error is not None:
                        store_first(error, to + i, root(totals(parts, E_SUM * part + mine)), present - i)
                    if error_inf is not None:
                        store_first(error_inf, to + i, maxima(parts, E_MAX * part + mine), present - i)
                    if d is not None:
                        store_first(d, to + i, root(totals(parts, D_SUM * part + mine)), present - i)
                    if d_inf is not None:
                        store_first(d_inf, to + i, maxima(parts, D_MAX * part + mine), present - i)
                    if a is not None:
                        store_first(a, to + i, root(totals(parts, A_SUM * part + mine)), present - i)
                    if a_inf is not None:
                        store_first(a_inf, to + i, maxima(parts, A_MAX * part + mine), present - i)
                    unknown = spread(x, math.nan)
                    if c is not None:
                        of_squares = ratio(totals(parts, L_SUM * part + mine), totals(parts, R_SUM * part + mine))
                        store_first(c, to + i, unknown if in_full else of_squares, present - i)
                    if kappa is not None:
                        of_maxima = ratio(maxima(parts, L_MAX * part + mine), load(sizes, i))
                        store_first(kappa, to + i, unknown if in_full else of_maxima, present - i)
    return -1


def copy(drawn: np.ndarray, x: np.ndarray, begin: int, d_all: int) -> int:
    """Write drawn (rows, d) into rows of ``d_all`` entries, from x[begin] on; returns how many are not finite there."""
    rows, d = drawn.shape
    bad = 0
    for i in range(rows):
        for j in range(d):
            x[begin + i * d_all + j] = drawn[i, j]
            if not abs(x[begin + i * d_all + j]) < math.inf:
                bad += 1
    return bad
