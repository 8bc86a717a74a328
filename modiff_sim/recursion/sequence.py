"""One call after the other: the first, refreshes and steps, and what a recursion must take for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..quantizer import Quantizer
from ..skipping import Threshold
from ..storage import Storage
from .loops import AS_COMPUTED, Recursion, get, label
from .options import Refresh, Warmup, refresh_calls
from .state import Operator, State, identity


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

    skip, storage: see ``modiff_sim.skipping`` and ``modiff_sim.storage``.
    """
    chosen = get(recursion)
    check_storage(chosen, storage, skip)
    is_refresh = refresh_calls(refresh)
    state: State | None = None
    for call, a in enumerate(inputs):
        if call == 0:
            Q.check(a)
        bits = None if random is None else random(call)
        state = advance(
            chosen, state, a, Q, A, affine=affine, warmup=warmup, refreshed=is_refresh(call), random=bits, skip=skip,
            storage=storage,
        )  # fmt: skip
        yield state
