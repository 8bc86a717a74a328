"""Direct quantization, without a recursion: what the two loops are compared with."""

from __future__ import annotations

from ...quantizers.base import Quantizer
from ...typing import Array
from ..base import Recursion, Step
from ..state import Info, Operator, State


class Direct(Recursion):
    """Ordinary post-training quantization: ô = A(Q(a)).

    The input itself is quantized at every call, the first one included, so that warm-up does not apply.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> [(_, info)] = ms.recursion.run("direct", np.array([[[1.0, 0.4]]]), ms.AbsMax(2))
    >>> info.output.tolist()
    [[1.0, 0.0]]
    """

    name = "direct"
    has_state = False
    accumulates = False

    def exact(self, a: Array, affine: Operator, call: int = 0) -> Step:
        """Do a call in full precision, of which nothing is kept."""
        return State(None, None, call + 1), Info(affine(a))

    def step(self, state: State, a: Array, Q: Quantizer, A: Operator, *, random: Array | None = None) -> Step:
        """Quantize the input and apply A."""
        hat, qparams = Q.apply(a, random=random)
        return State(None, None, state.call + 1), Info(A(hat), a, hat, qparams)


RECURSIONS = {"direct": Direct()}
