"""Skipping by threshold: a residual that is small against its reference is not computed (Remark 4.1 of the paper).

    recursion.run("closed_loop", inputs, AbsMax(4), A, skip=Threshold(0.05))

A skipped sample keeps its reference and its output: for it the call is one at 0 bits. The decision is taken per sample
(axis 0), so an image does not depend on its batch-mates, and before quantizing, so it costs two norms.

What is lost, in the threshold's norm (e = a - â, r = a - â_prev the residual, k the quantizer's contraction in that
norm: sqrt(c) for "l2", kappa for "max"; quantizers declare none for "l1", the default):

    computed   ||e|| <= k·||r||                    skipped   ||e|| = ||r|| < τ·||â_prev||

so ||e|| <= max(k·||r||, τ·||â_prev||): the *larger* of the two, not their sum, and it does not grow with the number of
calls, because what was skipped is in the next residual (``bounds.skipped_closed_loop``). In the open loop the reference
is the last input: a skipped difference is in no later residual, and its loss is never made good
(``bounds.skipped_open_loop``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from array_api_compat import array_namespace

from ..arguments import number
from ..names import one_of
from ..quantizers.base import QParams, Quantizer
from ..typing import Array
from .base import Recursion, Step
from .state import Operator, State
from .wrapper import Wrapper

NORMS = ("l1", "l2", "max")


@dataclass(frozen=True)
class Threshold:
    """Skip a sample's residual r = a - ref where ||r|| < tau·||ref||.

    Parameters
    ----------
    tau : float
        The threshold, at least 0; 0 skips nothing.
    norm : {"l1", "l2", "max"}
        The norm of residual and reference.

    Raises
    ------
    TypeError
        tau is not a number.
    ValueError
        tau is negative or infinite, or the norm is unknown.

    Notes
    -----
    NaN is never skipped, so that it reaches the check of the quantizer's scale. "l1" and "l2" are summed in the dtype
    of the array: float16 overflows above 65504, and then nothing is skipped; "max" never overflows.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.Threshold(0.1, "max").keeps(np.array([[0.05], [0.5]]), np.array([[1.0], [1.0]])).tolist()
    [[False], [True]]
    """

    tau: float
    norm: str = "l1"

    def __post_init__(self) -> None:
        number("Threshold needs a number tau >= 0: tau", self.tau)
        one_of("norm", self.norm, NORMS)

    def size(self, x: Array) -> Array:
        """The norm of every sample, shape (n, 1, ..., 1); of a 1-d array, whose entries are the samples, its |x|."""
        xp = array_namespace(x)
        axes = tuple(range(1, x.ndim))
        size = xp.abs(x)
        if not axes or self.norm == "max":
            return xp.max(size, axis=axes, keepdims=True) if axes else size
        if self.norm == "l1":
            return xp.sum(size, axis=axes, keepdims=True)
        # of x/max, so that squares neither overflow nor underflow
        top = xp.max(size, axis=axes, keepdims=True)
        safe = xp.where(xp.isfinite(top) & (top > 0), top, xp.ones_like(top))
        scaled = size / safe
        return top * xp.sqrt(xp.sum(scaled * scaled, axis=axes, keepdims=True))

    def keeps(self, residual: Array, ref: Array) -> Array:
        """Where the residual is computed: bool, shape (n, 1, ..., 1). ``ref`` has the residual's shape."""
        below = self.size(residual) < self.tau * self.size(ref)
        return array_namespace(residual).logical_not(below)  # not >=: NaN must be kept


class Skipping(Wrapper):
    """A recursion that skips the samples whose residual is below a threshold. Nothing is skipped at call 0.

    Raises ValueError for a recursion without a state, or with a step of its own.
    """

    def __init__(self, inner: Recursion, threshold: Threshold) -> None:
        super().__init__(inner, "skip")
        self.threshold = threshold

    def exact(self, a: Array, affine: Operator, call: int = 0) -> Step:
        """Do a call in full precision, in which nothing is skipped."""
        return self.inner.exact(a, affine, call)

    def init(self, a: Array, Q: Quantizer, A: Operator, **options: Any) -> Step:
        """Do call 0, in which nothing is skipped."""
        return self.inner.init(a, Q, A, **options)

    def step(self, state: State, a: Array, Q: Quantizer, A: Operator, *, random: Array | None = None) -> Step:
        """Do a call in which what is skipped is quantized to zero, so that it moves neither reference nor output."""
        gate = _Gate(Q, self.threshold, state.ref)
        state, info = self.inner.step(state, a, gate, A, random=random)  # type: ignore[arg-type]
        return state, replace(info, kept=gate.kept)


class _Gate:
    """The quantizer as far as a step uses it, with zeros where the threshold skips."""

    def __init__(self, Q: Quantizer, threshold: Threshold, ref: Array) -> None:
        self.Q, self.threshold, self.ref, self.kept = Q, threshold, ref, None

    def apply(self, residual: Array, *, random: Array | None = None) -> tuple[Array, QParams]:
        hat, qparams = self.Q.apply(residual, random=random)
        self.kept = self.threshold.keeps(residual, self.ref)
        xp = array_namespace(residual)
        return xp.where(self.kept, hat, xp.zeros_like(hat)), qparams
