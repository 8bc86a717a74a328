"""A layer's state between two calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..quantizers.base import QParams

Operator = Callable[[Any], Any]


def identity(a: Any) -> Any:
    """A = 1, the operator where none is given."""
    return a


@dataclass(frozen=True)
class State:
    """One layer's state after a call. ``ref`` (shape of a), ``o_hat`` (shape of A(a)); ``call`` is the next index.

    With a ``Storage`` both are what is kept (a rounded array, codes, None for a recomputed ô); else the arrays.
    ``residual`` and ``residual_hat`` are this call's quantizer input and output (None where nothing was quantized),
    ``qparams`` what it was quantized with, ``kept`` which samples a threshold let through (None: no threshold). They
    are for observers and are not needed to go on. ``output`` is this call's ô before it was stored.
    """

    ref: Any
    o_hat: Any
    call: int = 0
    residual: Any = None
    residual_hat: Any = None
    qparams: QParams | None = None
    kept: Any = None
    computed: Any = None

    @property
    def output(self) -> Any:
        """What the layer returns at this call."""
        return self.o_hat if self.computed is None else self.computed

    @property
    def quantized(self) -> bool:
        return self.qparams is not None
