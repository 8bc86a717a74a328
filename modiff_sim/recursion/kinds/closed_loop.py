"""The closed loop: modulation with error compensation, the paper's MoDiff."""

from __future__ import annotations

from ...typing import Array
from ..base import Recursion, runs


class ClosedLoop(Recursion):
    """Modulation with error compensation: â ← Q(a - â) + â and ô ← A(Q(a - â)) + ô, equations (13)-(14).

    The input is compared with the reconstruction â, so the error of a call enters the next residual, and ô = A(â).

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> inputs = np.array([[[0.0, 0.0]], [[1.0, 0.4]], [[2.0, 0.8]]])
    >>> [info.output.tolist() for _, info in ms.recursion.run("closed_loop", inputs, ms.AbsMax(2))]
    [[[0.0, 0.0]], [[1.0, 0.0]], [[2.0, 1.0]]]
    """

    name = "closed_loop"

    @property
    def reconstructs(self) -> bool:
        """Whether this is the closed loop itself, and not a subclass that moves the reference in another way."""
        return runs(self, ClosedLoop)

    def next_ref(self, ref: Array, a: Array, residual_hat: Array) -> Array:
        """Return the next reconstruction."""
        return ref + residual_hat


RECURSIONS = {"closed_loop": ClosedLoop()}
