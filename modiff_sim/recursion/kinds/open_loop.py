"""The open loop: modulation without error compensation."""

from __future__ import annotations

from ...typing import Array
from ..base import Recursion


class OpenLoop(Recursion):
    """Modulation without error compensation: ô ← A(Q(a - a_prev)) + ô, equation (7).

    The input is compared with the raw last input, so the error of every call stays in ô.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> inputs = np.array([[[0.0, 0.0]], [[1.0, 0.4]], [[2.0, 0.8]]])
    >>> [info.output.tolist() for _, info in ms.recursion.run("open_loop", inputs, ms.AbsMax(2))]
    [[[0.0, 0.0]], [[1.0, 0.0]], [[2.0, 0.0]]]
    """

    name = "open_loop"

    def next_ref(self, ref: Array, a: Array, residual_hat: Array) -> Array:
        """Return the input itself."""
        return a


RECURSIONS = {"open_loop": OpenLoop()}
