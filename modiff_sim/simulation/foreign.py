"""Quantizers and recursions of the user's own: what they return is looked at, where ours are known to be right."""

from __future__ import annotations

import numpy as np

from .. import recursion as _recursion
from ..quantizers import QUANTIZERS, Split
from ..quantizers.base import Quantizer, check_like
from ..typing import Array


def ours(Q: Quantizer) -> bool:
    """Whether its class is one of this package; a subclass may compute something else."""
    return type(Q) in QUANTIZERS.values() or (type(Q) is Split and all(map(ours, Q.quantizers)))


def check_own(Q: Quantizer, a: np.ndarray) -> None:
    """Quantize a copy of ``a`` that cannot be written to, and raise ValueError or TypeError for what is wrong with it.

    Its values must be like ``a``: a plain array of the same shape and dtype, and the argument may not be touched.
    """
    given = a.copy(order="K")
    given.flags.writeable = False
    try:
        hat, _ = Q.apply(given, random=np.zeros_like(given) if Q.laws.randomised else None)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise ValueError(f"{Q} writes into its argument: a quantizer returns a new array") from error
    check_like(hat, a, f"what {Q} returns")


def check_output(
    Q: Quantizer, recursion: _recursion.Recursion, info: _recursion.Info, a: Array, A: _recursion.Operator, call: int
) -> None:
    """Raise ValueError where a call gave NaN, Inf or another shape: every call, as nothing else would say so."""
    hat = info.residual_hat
    if hat is not None and not np.isfinite(hat).all():
        raise ValueError(f"{Q} gave NaN or Inf in step {call}, of a residual that is finite")
    who, output = _recursion.label(recursion), info.output
    if call == 0:
        check_like(output, A(a), f"the output of recursion {who}")
    if not np.isfinite(output).all():
        raise ValueError(f"recursion {who}: its output holds NaN or Inf in step {call}")
