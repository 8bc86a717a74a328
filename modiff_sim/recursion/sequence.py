"""One call after the other: the first, refreshes and steps, and what a recursion must take for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from array_api_compat import array_namespace

from ..arguments import namespace
from ..quantizers.base import Quantizer, check_like, check_random, not_finite, require_floating
from .loops import AS_COMPUTED, Recursion, get, label
from .options import Refresh, Warmup, feeds, refresh_calls
from .state import Operator, State, identity
from .storage import Storage
from .threshold import Threshold


def advance(
    recursion: Recursion,
    state: State | None,
    a: Any,
    Q: Quantizer,
    A: Operator,
    *,
    affine: Operator | None = None,
    warmup: Warmup = "exact",
    refreshed: bool = False,
    random: Any = None,
    skip: Threshold | None = None,
    storage: Storage = AS_COMPUTED,
) -> State:
    """The next call, whichever it is: first (state None), refresh, or a step. ``random`` as for ``init`` when first.

    skip: residuals below it are not computed; storage: how the state is kept. Neither means anything for ``direct``.
    """
    affine = affine or A
    # a recursion of the user's own need not know how states are kept
    keeping: dict[str, Any] = {} if storage.as_computed else {"storage": storage}
    if state is None:
        return recursion.init(a, Q, A, warmup=warmup, affine=affine, random=random, **keeping)
    if refreshed:
        return recursion.exact(a, affine, state.call, **keeping)
    if skip is not None:
        keeping["skip"] = skip
    if keeping and _takes(recursion.step, "affine"):
        keeping["affine"] = affine
    return recursion.step(state, a, Q, A if recursion.has_state else affine, random=random, **keeping)


def _takes(method: Callable[..., Any], name: str) -> bool:
    parameters = inspect.signature(method).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def check_storage(recursion: Recursion, storage: Storage, skip: Threshold | None = None) -> None:
    """Raise ValueError where the recursion cannot be kept so, or not with samples left out by a threshold."""
    if skip is not None and storage.couples_samples:
        raise ValueError(
            f"skip= leaves out single samples, which keep their reference; {storage.ref} stores it with a scale that "
            "others decide on: use PerSample(), or a Static grid"
        )
    if storage.recomputes and not recursion.reconstructs:
        raise ValueError(f'o_hat="recompute" needs ô = A(â), which {label(recursion)} does not have: keep ô')
    for name, asked in (("storage", not storage.as_computed), ("skip", skip is not None)):
        for method in ("exact", "init", "step") if name == "storage" else ("step",):
            if asked and not _takes(getattr(recursion, method), name):
                raise ValueError(
                    f"{label(recursion)}.{method} takes no {name}=: leave it out, or let the method take it"
                )


def run(
    recursion: str | Recursion,
    inputs: Iterable[Any],
    Q: Quantizer,
    A: Operator = identity,
    *,
    affine: Operator | None = None,
    warmup: Warmup = "exact",
    refresh: Refresh = "never",
    random: Callable[[int], Any] | None = None,
    skip: Threshold | None = None,
    storage: Storage = AS_COMPUTED,
) -> Iterator[State]:
    """States of a whole sequence of inputs, in sampling order. ``random(call)`` gives the random bits of a call.

    skip, storage: see ``modiff_sim.recursion.threshold`` and ``modiff_sim.recursion.storage``.

    Raises TypeError or ValueError, naming the call, for inputs that are no arrays of real floats of one shape and
    dtype, for NaN, Inf and overflow, and for an operator whose first output is not finite.
    """
    chosen = get(recursion)
    check_storage(chosen, storage, skip)
    is_refresh = refresh_calls(refresh)
    state: State | None = None
    first: Any = None
    for call, a in enumerate(inputs):
        first = a if call == 0 else first
        check_input(Q, a, first, call)
        bits = None if random is None else random(call)
        used = call > 0 or feeds(warmup) or not chosen.has_state  # an exact start draws nothing
        if bits is not None and Q.laws.randomised and used:
            for drawn in bits if call == 0 else (bits,):
                check_random(drawn, a, f"random({call})")
        state = advance(
            chosen, state, a, Q, A, affine=affine, warmup=warmup, refreshed=is_refresh(call), random=bits, skip=skip,
            storage=storage,
        )  # fmt: skip
        check_finite(Q, state, a, f"call {call}")
        _check_quantized(Q, state)
        if call == 0:
            _check_operator(state.output)
        yield state


def check_input(Q: Quantizer, a: Any, first: Any, call: int) -> None:
    """Raise TypeError or ValueError unless the input of a call is one that Q takes, and like that of call 0."""
    if call == 0:
        Q.check(a)
    else:
        check_like(a, first, f"the input of call {call}")


def check_finite(Q: Quantizer, state: State, a: Any, who: str) -> None:
    """Raise ValueError where the call just done met NaN, Inf or an overflow; of its own errors a scale tells."""
    xp = array_namespace(a)
    probe = a if state.qparams is None else Q.probe(state.residual, state.qparams)
    if not bool(xp.all(xp.isfinite(probe))):
        raise ValueError(not_finite(xp, a, who))


def _check_quantized(Q: Quantizer, state: State) -> None:
    """Raise TypeError or ValueError where a quantizer, one of the user's own, did not return what it must."""
    if state.residual_hat is not None and state.residual is not None:
        check_like(state.residual_hat, state.residual, f"what {Q} returns")
        xp = array_namespace(state.residual_hat)
        if not bool(xp.all(xp.isfinite(state.residual_hat))):
            raise ValueError(f"what {Q} returns holds NaN or Inf, for an input that is finite")


def _check_operator(output: Any) -> None:
    """Raise ValueError where A of the first input, which is finite, is not: a weight of NaN shows at once."""
    xp = namespace("the operator's output", output)
    require_floating(xp, output, "the operator's output")
    if not bool(xp.all(xp.isfinite(output))):
        raise ValueError(not_finite(xp, output, "the operator's output, of a finite first input,"))
