"""How every call of a sequence is done: one object, made of the options that a user gives."""

from __future__ import annotations

from collections.abc import Callable

from ..quantizers import Zero
from ..quantizers.base import Quantizer
from ..typing import Array
from .base import Recursion, Step
from .lookup import get, label
from .options import Refresh, Warmup, check_warmup, feeds, refresh_calls
from .state import Info, Operator, State, identity, nothing
from .storage import AS_COMPUTED, Storage, Stored
from .threshold import Skipping, Threshold


class Scheme:
    """A recursion, its warm-up and its refreshes: what is done at which call.

    Parameters
    ----------
    recursion : str or Recursion
        A name in ``RECURSIONS``, or a recursion of your own.
    warmup : {"exact", "quantized"} or int, default "exact"
        How call 0 is done.
    refresh : "never", int or sequence of int, default "never"
        Later calls in full precision: every so many calls, or the calls of these indices.

    Raises
    ------
    ValueError, TypeError
        The recursion is unknown, or warm-up or refresh is none of the above.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> scheme = ms.recursion.Scheme("closed_loop", refresh=2)
    >>> [scheme.refreshed(call) for call in range(5)]
    [False, False, True, False, True]
    >>> state, info = scheme.advance(None, np.array([[1.0, 2.0]]), ms.AbsMax(4))  # call 0, from no state
    >>> state.call, info.quantized
    (1, False)
    """

    def __init__(self, recursion: str | Recursion, warmup: Warmup = "exact", refresh: Refresh = "never") -> None:
        self.recursion: Recursion = get(recursion)
        check_warmup(warmup)
        self.warmup, self.refresh = warmup, refresh
        #: call -> whether it is a refresh; call 0 never is
        self.refreshed: Callable[[int], bool] = refresh_calls(refresh)

    @property
    def feeds(self) -> int:
        """How often the first input is quantized at call 0; 0 is an exact start."""
        return feeds(self.warmup) if self.recursion.has_state else 1

    @property
    def draws(self) -> int:
        """How many arrays of random bits call 0 is given, one per feeding; later calls are given one array."""
        return max(feeds(self.warmup), 1)

    def wrapped(self, storage: Storage = AS_COMPUTED, skip: Threshold | None = None) -> Scheme:
        """The same with the state kept so, and with the samples below the threshold skipped.

        Raises ValueError where the recursion cannot be kept so, or not with samples left out by a threshold.
        """
        inner = self.recursion
        if skip is not None:
            if storage.couples_samples:
                raise ValueError(
                    f"skip= leaves out single samples, which keep their reference; {storage.ref} stores it with a "
                    "scale that others decide on: use PerSample(), or a Static grid"
                )
            inner = Skipping(inner, skip)
        if not storage.as_computed:
            inner = Stored(inner, storage)
        return self if inner is self.recursion else Scheme(inner, self.warmup, self.refresh)

    def advance(
        self,
        state: State | None,
        a: Array,
        Q: Quantizer,
        A: Operator = identity,
        *,
        affine: Operator | None = None,
        random: Array | None = None,
    ) -> Step:
        """Do the next call, whichever it is: the first (no state yet), a refresh, or a step.

        ``affine`` is A with its bias (default: A has none). ``random`` is one array of random bits like a; for the
        first call one per feeding (``draws``).
        """
        affine, chosen = affine or A, self.recursion
        if state is None:
            done = chosen.init(a, Q, A, warmup=self.warmup, affine=affine, random=random)
        elif self.refreshed(state.call):
            done = chosen.exact(a, affine, state.call)
        else:
            if not chosen.accumulates:
                A = affine
            elif type(Q) is Zero:  # A of an exact zero is not computed, which is what caching saves (Remark 4.1)
                A = nothing
            done = chosen.step(state, a, Q, A, random=random)
        if not (isinstance(done, tuple) and len(done) == 2 and isinstance(done[1], Info)):
            raise TypeError(f"{label(chosen)} gave {type(done).__name__}: every method returns (State, Info)")
        return done
