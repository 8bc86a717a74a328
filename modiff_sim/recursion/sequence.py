"""A whole sequence of calls, and the checks of what goes in and comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from array_api_compat import array_namespace

from ..arguments import namespace
from ..quantizers.base import (
    Quantizer,
    check_like,
    check_random,
    not_finite,
    require_floating,
    returned_not_finite,
)
from ..typing import Array
from .base import Recursion, Step
from .options import Refresh, Warmup
from .scheme import Scheme
from .state import Info, Operator, State, identity
from .storage import AS_COMPUTED, Storage
from .threshold import Threshold


def run(
    recursion: str | Recursion,
    inputs: Iterable[Array],
    Q: Quantizer,
    A: Operator = identity,
    *,
    affine: Operator | None = None,
    warmup: Warmup = "exact",
    refresh: Refresh = "never",
    random: Callable[[int], Array] | None = None,
    skip: Threshold | None = None,
    storage: Storage = AS_COMPUTED,
) -> Iterator[Step]:
    """Run one layer through a sequence of inputs.

    Parameters
    ----------
    recursion : str or Recursion
        A name in ``RECURSIONS``, or a recursion of your own.
    inputs : iterable of array, each of one shape (n, ...) and real float dtype
        a_t in sampling order; axis 0 holds the samples.
    Q : Quantizer
        What the inputs or residuals are quantized by.
    A : callable, default the identity
        The layer's linear map.
    affine : callable, optional
        A with its bias, which is added once, at the first call; by default A has none.
    warmup, refresh
        As in ``Scheme``.
    random : callable, optional
        call -> random bits in [0, 1) of the input's shape; at call 0 one array per feeding. For randomised quantizers.
    skip : Threshold, optional
        Residuals below it are not computed.
    storage : Storage, optional
        How the state is kept between the calls.

    Yields
    ------
    state : State
        What is kept after the call.
    info : Info
        What the call did: its output, residual, and so on.

    Raises
    ------
    TypeError, ValueError
        With the call named: inputs are not arrays of real floats of one shape and dtype, or hold NaN or Inf; a
        quantity overflows; the operator's first output is not finite; or a quantizer returns what it must not.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> inputs = np.array([[[0.0, 0.0]], [[1.0, 0.4]], [[2.0, 0.8]]])
    >>> for state, info in ms.recursion.run("closed_loop", inputs, ms.AbsMax(2)):
    ...     print(state.call, state.ref, info.output)
    1 [[0. 0.]] [[0. 0.]]
    2 [[1. 0.]] [[1. 0.]]
    3 [[2. 1.]] [[2. 1.]]
    """
    scheme = Scheme(recursion, warmup, refresh).wrapped(storage, skip)
    state: State | None = None
    first: Array = None
    for call, a in enumerate(inputs):
        first = a if call == 0 else first
        check_input(Q, a, first, call)
        bits = None if random is None else random(call)
        if bits is not None and Q.laws.randomised and (call > 0 or scheme.feeds):  # an exact start draws nothing
            for drawn in bits if call == 0 else (bits,):
                check_random(drawn, a, f"random({call})")
        state, info = scheme.advance(state, a, Q, A, affine=affine, random=bits)
        check_finite(Q, info, a, f"call {call}")
        _check_quantized(Q, info)
        if call == 0:
            _check_operator(info.output)
        yield state, info


def check_input(Q: Quantizer, a: Array, first: Array, call: int) -> None:
    """Raise TypeError or ValueError unless the input of a call is one that Q takes, and like that of call 0."""
    if call == 0:
        Q.check(a)
    else:
        check_like(a, first, f"the input of call {call}")


def check_finite(Q: Quantizer, info: Info, a: Array, who: str) -> None:
    """Raise ValueError where the call just done met NaN, Inf or an overflow; the scale tells of the loop's own."""
    xp = array_namespace(a)
    probe = a if info.qparams is None else Q.probe(info.residual, info.qparams)
    if not bool(xp.all(xp.isfinite(probe))):
        raise ValueError(not_finite(xp, a, who))


def _check_quantized(Q: Quantizer, info: Info) -> None:
    """Raise TypeError or ValueError where a quantizer, one of the user's own, did not return what it must."""
    if info.residual_hat is not None and info.residual is not None:
        check_like(info.residual_hat, info.residual, f"what {Q} returns")
        xp = array_namespace(info.residual_hat)
        if not bool(xp.all(xp.isfinite(info.residual_hat))):
            raise ValueError(returned_not_finite(xp, info.residual, Q))


def _check_operator(output: Array) -> None:
    """Raise ValueError where A of the first input, which is finite, is not: a weight of NaN shows at once."""
    xp = namespace("the operator's output", output)
    require_floating(xp, output, "the operator's output")
    if not bool(xp.all(xp.isfinite(output))):
        raise ValueError(not_finite(xp, output, "the operator's output, of a finite first input,"))
