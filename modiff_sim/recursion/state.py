"""A layer's state between two calls, and what a call tells its observers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..quantizers.base import QParams
from ..typing import Array

Operator = Callable[[Array], Array]


def identity(a: Array) -> Array:
    """A = 1, the operator where none is given."""
    return a


def nothing(hat: Array) -> float:
    """A = 0, for callers that form the output themselves: -0.0 + x is x, for x = -0.0 as well."""
    return -0.0


@dataclass(frozen=True)
class State:
    """What has to be kept of one layer between two calls.

    Parameters
    ----------
    ref : array, shape of a
        What the next input is compared with: â in the closed loop, the last input in the open loop, None for direct.
        A recursion of your own may keep a tuple or a mapping of arrays here.
    o_hat : array, shape of A(a)
        ô, the sum of what A was applied to; None for direct, and where it is recomputed at every call (``Storage``).
    call : int
        Index of the next call.

    Notes
    -----
    With a ``Storage`` both are what is stored: rounded arrays, or codes with their scales (``storage.Packed``).

    Examples
    --------
    >>> import numpy as np
    >>> from modiff_sim.recursion import State
    >>> State(ref=np.zeros((1, 2)), o_hat=np.zeros((1, 2)), call=1).call
    1
    """

    ref: Array
    o_hat: Array
    call: int = 0


@dataclass(frozen=True)
class Info:
    """What happened at one call. Nothing of it is needed to go on.

    Parameters
    ----------
    output : array, shape of A(a)
        What the layer returns at this call: ô, before it was rounded for storage.
    residual, residual_hat : array, shape of a
        Input and output of the quantizer; None for a call in full precision (an exact start, a refresh).
    qparams : QParams
        What the residual was quantized with; None likewise.
    kept : bool array, shape (n, 1, ..., 1)
        Which samples a threshold let through; None where there was no threshold.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> inputs = np.array([[[0.0, 0.0]], [[1.0, 0.5]]])
    >>> first, second = (info for _, info in ms.recursion.run("closed_loop", inputs, ms.AbsMax(2)))
    >>> first.quantized, second.residual.tolist(), second.residual_hat.tolist()
    (False, [[1.0, 0.5]], [[1.0, 0.0]])
    """

    output: Array
    residual: Array = None
    residual_hat: Array = None
    qparams: QParams | None = None
    kept: Array = None

    @property
    def quantized(self) -> bool:
        """Whether this call quantized anything."""
        return self.qparams is not None
