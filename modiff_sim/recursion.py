"""The three recursions of iterative quantization: direct, open loop, closed loop. One definition for NumPy and torch.

Steps are counted by *model call* in sampling order: call 0 is the paper's t = T (the noisiest), call n is t = T - n.

    direct       ô = A(Q(a))                                  ordinary post-training quantization
    open_loop    ô ← A(Q(a - a_prev)) + ô                     (7): modulation without error compensation
    closed_loop  â ← Q(a - â) + â,  ô ← A(Q(a - â)) + ô       (13)-(14): MoDiff, with error compensation; ô = A(â)

``State.ref`` is what the next input is compared with: â in the closed loop, the raw last input in the open loop.
A is linear; ``affine`` is A plus its bias, which is added once, at the first call.

Warm-up (how call 0 is done): ``"exact"``, â = a in full precision (Theorem 4.4 and the code); ``"quantized"``,
â = Q(a), as (8)-(9) print; an int m >= 1, the first input fed m times from a zero state (m=1 equals "quantized").
``direct`` has no state and quantizes its first call too.
Between calls the state may be kept rounded (``storage``), and residuals below a threshold skipped (``skip``).
Refresh: ``"never"``; an int k, every k-th call is done in full precision and restarts the state; or the call indices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from array_api_compat import array_namespace

from .quantizer import QParams, Quantizer
from .skipping import Threshold
from .storage import Storage

Operator = Callable[[Any], Any]


def identity(a: Any) -> Any:
    """A = 1, the operator where none is given."""
    return a


AS_COMPUTED = Storage()
Warmup = str | int
Refresh = str | int | Sequence[int]


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


class Recursion:
    """Base: how a call is done from a state. Stateless; all state is in ``State``."""

    name: ClassVar[str]
    has_state: ClassVar[bool] = True
    compensates: ClassVar[bool] = False  # its reference is the reconstruction â

    def next_ref(self, ref: Any, a: Any, residual_hat: Any) -> Any:
        """The reference of the next call."""
        raise NotImplementedError  # pragma: no cover - abstract

    def exact(self, a: Any, affine: Operator, call: int = 0, *, storage: Storage = AS_COMPUTED) -> State:
        """A call in full precision: the start of Theorem 4.4, and every refresh.

        With a rounded state the output is A of the *stored* reference: ô = A(stored â) has to hold from here on.
        """
        if storage.as_computed:
            return State(ref=a, o_hat=affine(a), call=call + 1)
        ref = storage.ref_format.encode(a)
        output = affine(storage.ref_format.decode(ref, a) if self.compensates else a)
        return State(ref, _stored(storage, output), call + 1, computed=output)

    def init(
        self,
        a: Any,
        Q: Quantizer,
        A: Operator,
        *,
        warmup: Warmup = "exact",
        affine: Operator | None = None,
        random=None,
        storage: Storage = AS_COMPUTED,
    ) -> State:
        """State after call 0. ``affine`` is A with its bias (default: A has none); ``random`` one array per feeding.

        Nothing is skipped at call 0. With a rounded state the first input is fed in full and stored after the last
        feeding.
        """
        affine = affine or A
        check_warmup(warmup)
        if warmup == "exact":
            return self.exact(a, affine) if storage.as_computed else self.exact(a, affine, storage=storage)
        state = State(ref=array_namespace(a).zeros_like(a), o_hat=0.0)
        for i in range(feeds(warmup)):
            state = self.step(state, a, Q, A if i else affine, random=None if random is None else random[i])
        if storage.as_computed:
            return State(state.ref, state.o_hat, 1, state.residual, state.residual_hat, state.qparams)
        ref = storage.ref_format.encode(state.ref)
        output = affine(storage.ref_format.decode(ref, a)) if self.compensates else state.o_hat
        return State(
            ref, _stored(storage, output), 1, state.residual, state.residual_hat, state.qparams, computed=output
        )

    def step(
        self,
        state: State,
        a: Any,
        Q: Quantizer,
        A: Operator,
        *,
        random: Any = None,
        skip: Threshold | None = None,
        storage: Storage = AS_COMPUTED,
        affine: Operator | None = None,
    ) -> State:
        """One call: residual, quantize, apply A, add up. ``affine`` is used where ô is recomputed."""
        xp, form = array_namespace(a), storage.ref_format
        ref = form.decode(state.ref, a)
        residual = a - ref
        hat, qparams = Q.apply(residual, random=random)
        kept = None
        if skip is not None:
            kept = skip.keeps(residual, ref)
            hat = xp.where(kept, hat, xp.zeros_like(hat))
        new = form.encode(self.next_ref(ref, a, hat))
        if skip is None and self.compensates and A is identity and state.o_hat is state.ref:
            return State(new, new, state.call + 1, residual, hat, qparams)  # ô = A(â) = â: one sum serves both
        if storage.o_format is None:
            output = (affine or A)(form.decode(new, a))
            return State(new, None, state.call + 1, residual, hat, qparams, kept, output)
        # A of an exact zero is zero: at 0 bits the computation is skipped, which is what caching saves (Remark 4.1).
        # Not while the state is being made (call 0), where A is the affine map that brings shape and bias.
        if Q.bits == 0 and state.call > 0:
            output = storage.o_format.decode(state.o_hat, a)
        else:
            # what â really moved by: its rounding must reach ô, or the two part for good
            added = A(form.decode(new, a) - ref if self.compensates and storage.ref != "native" else hat)
            output = added + storage.o_format.decode(state.o_hat, added)  # A may change the dtype: autocast
        return State(new, storage.o_format.encode(output), state.call + 1, residual, hat, qparams, kept, output)


def _stored(storage: Storage, output: Any) -> Any:
    return None if storage.o_format is None else storage.o_format.encode(output)


class ClosedLoop(Recursion):
    """With error compensation: compared with the reconstruction â, so this step's error enters the next residual."""

    name = "closed_loop"
    compensates = True

    def next_ref(self, ref: Any, a: Any, residual_hat: Any) -> Any:
        return ref + residual_hat


class OpenLoop(Recursion):
    """Without error compensation: compared with the raw last input, so every step's error stays in ô."""

    name = "open_loop"

    def next_ref(self, ref: Any, a: Any, residual_hat: Any) -> Any:
        return a


class Direct(Recursion):
    """No modulation: the input itself is quantized at every call, the first included; warm-up does not apply."""

    name = "direct"
    has_state = False

    def init(
        self,
        a: Any,
        Q: Quantizer,
        A: Operator,
        *,
        warmup: Warmup = "exact",
        affine: Operator | None = None,
        random=None,
        storage: Storage = AS_COMPUTED,
    ) -> State:
        check_warmup(warmup)
        first = None if random is None else random[0]
        return self.step(State(ref=None, o_hat=None), a, Q, affine or A, random=first)

    def step(self, state: State, a: Any, Q: Quantizer, A: Operator, *, random: Any = None, **_: Any) -> State:
        hat, qparams = Q.apply(a, random=random)
        return State(None, A(hat), state.call + 1, a, hat, qparams)


#: name -> recursion. Legends, CLI choices and tests iterate over it.
RECURSIONS: dict[str, Recursion] = {r.name: r for r in (Direct(), OpenLoop(), ClosedLoop())}


def get(name: str) -> Recursion:
    """The recursion of this name; ValueError lists the known ones."""
    if name not in RECURSIONS:
        raise ValueError(f"unknown recursion {name!r}; known: {', '.join(RECURSIONS)}")
    return RECURSIONS[name]


def check_warmup(warmup: Warmup) -> None:
    """Raise unless warmup is "exact", "quantized" or an int >= 1."""
    ok = warmup in ("exact", "quantized") if isinstance(warmup, str) else feeds(warmup) >= 1
    if not ok:
        raise ValueError(
            f'warmup must be "exact", "quantized" or an int m >= 1 (first input fed m times), got {warmup!r}'
        )


def feeds(warmup: Warmup) -> int:
    """How often the first input is fed through the quantizer: 0 for "exact", 1 for "quantized", else m."""
    if isinstance(warmup, str):
        return int(warmup == "quantized")
    return warmup if isinstance(warmup, int) and not isinstance(warmup, bool) else -1


def refresh_calls(refresh: Refresh) -> Callable[[int], bool]:
    """call -> whether it is a refresh. Call 0 is the warm-up's, never a refresh."""
    if isinstance(refresh, str):
        if refresh != "never":
            raise ValueError(f'refresh must be "never", an int k >= 1 or a sequence of call indices, got {refresh!r}')
        return lambda call: False
    if not isinstance(refresh, int | Iterable):
        raise TypeError(f'refresh must be "never", an int k >= 1 or a sequence of call indices, got {refresh!r}')
    if isinstance(refresh, int):
        if isinstance(refresh, bool) or refresh < 1:
            raise ValueError(f"refresh every k calls needs k >= 1, got {refresh!r}")
        return lambda call: call > 0 and call % refresh == 0
    calls = frozenset(refresh)
    if not all(isinstance(i, int) and i >= 0 for i in calls):
        raise ValueError(f"refresh: call indices are ints >= 0, got {refresh!r}")
    return lambda call: call > 0 and call in calls


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
    if skip is not None or keeping:
        keeping |= {"skip": skip, "affine": affine}
    return recursion.step(state, a, Q, A if recursion.has_state else affine, random=random, **keeping)


def check_storage(recursion: Recursion, storage: Storage, skip: Threshold | None = None) -> None:
    """Raise ValueError where the recursion cannot be kept so, or not with samples left out by a threshold."""
    if skip is not None and storage.couples_samples:
        raise ValueError(
            f"skip= leaves out single samples, which keep their reference; {storage.ref} stores it with a scale that "
            "others decide on: use PerSample(), or a Static grid"
        )
    if storage.recomputes and not recursion.compensates:
        raise ValueError(f'o_hat="recompute" needs ô = A(â), which {recursion.name} has not: keep ô')


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
    chosen = get(recursion) if isinstance(recursion, str) else recursion
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
