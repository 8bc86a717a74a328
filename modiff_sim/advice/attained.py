"""The sequence on which all four schemes of ``regimes`` attain their worst case."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import recursion as _recursion
from ..arguments import number
from ..quantizers import AbsMax
from ..simulation.processes import Process

_INSIDE = 1e-9  # how far ``worst_inputs`` stays from a tie, relative


def worst_inputs(bits: int, rho: float) -> Process:
    """A sequence, d = 6, on which AbsMax(bits) attains the worst case of all four schemes at every call.

    ||d_k||_∞ = ρ at every call, and ||a_k||_∞ = 1 while the closed loop's error E has ρ/2 + E <= 1, so up to the
    boundary with direct (E = κ <= 1/2). Ties are met but for 1e-9 of themselves: on a tie, the next rounding of a
    float would decide the error's sign. The coordinates, with s = ρ/qmax the open loop's step:

    * 0 and 1, the closed loop, as in ``processes.alternating``. The coordinate that carries the error E moves on by
      ρ and becomes the residual's maximum M = ρ + E, exact. The other is set half a step κM from its
      reconstruction, towards 0.
    * 2 and 3, direct: 1, and κ = half a step of its grid, for ever; their differences are 0.
    * 4, the open loop: -s/2 and +s/2 by turns, just inside the first tie and just beyond the second, so that each
      call adds the same error, -s/2, and the coordinate stays where it is.
    * 5, the cache: -1, rising by ρ until it arrives at 1: nρ away from where it began while nρ <= 2.

    Parameters
    ----------
    bits : int
        Bits of AbsMax.
    rho : float
        ρ, 0 < ρ <= 1 (ValueError for others).

    Examples
    --------
    >>> import modiff_sim as ms
    >>> run = ms.simulate(ms.regimes.worst_inputs(4, 0.1), ms.AbsMax(4), "closed_loop", steps=11, trials=1)
    >>> bool(abs(run.error_inf[-1, 0] - ms.regimes.error("closed_loop", 0.1, 10, 1 / 14)) < 1e-9)
    True
    """
    Q = AbsMax(bits)
    if not 0 < number("rho", rho) <= 1:
        raise ValueError(f"worst_inputs needs 0 < rho <= 1, got {rho}")
    closed, kappa, half = _recursion.Scheme("closed_loop"), Q.kappa(2), rho / Q.qmax / 2

    def draw(rng: np.random.Generator, trials: int, steps: int) -> Iterator[np.ndarray]:
        a = np.array([[rho / 2, rho / 2, 1.0, kappa, 0.0, -1.0]])
        state = None
        for k in range(steps):
            if state is not None:
                error, ref = (a - state.ref)[0], state.ref[0]
                big, small = (0, 1) if k % 2 else (1, 0)
                direction = np.copysign(1.0, error[big]) if error[big] else -np.copysign(1.0, ref[big])
                a = a.copy()
                a[0, big] += direction * rho
                a[0, small] = ref[small] - np.copysign(kappa * (rho + abs(error[big])) * (1 - _INSIDE), ref[small])
                a[0, 4] += half * (_INSIDE + (1 if k % 2 else -1))
                a[0, 5] = min(a[0, 5] + rho, 1.0)
            state, _ = closed.advance(state, a, Q)
            yield np.repeat(a, trials, axis=0)

    return Process("worst_inputs", 6, {"bits": bits, "rho": float(rho)}, draw)
