"""The open loop: modulation without error compensation."""

from __future__ import annotations

from typing import Any

from .base import Recursion


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

    def next_ref(self, ref: Any, a: Any, residual_hat: Any) -> Any:
        """Return the input itself."""
        return a
