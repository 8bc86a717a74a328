"""The recursions: the base with its two steps, direct, open loop and closed loop, and the registry of their names."""

from __future__ import annotations

from typing import Any, ClassVar

from array_api_compat import array_namespace

from ..quantizers import Zero
from ..quantizers.base import Quantizer
from .options import Warmup, check_warmup, feeds
from .state import Operator, State, identity
from .storage import Storage
from .threshold import Threshold

AS_COMPUTED = Storage()


class Recursion:
    """Base: how a call is done from a state. Stateless; all state is in ``State``.

    A recursion of your own overrides ``next_ref``, or ``init`` and ``step`` as a whole. It is run by the definition
    below everywhere: faster paths implement ``Direct``, ``OpenLoop`` and ``ClosedLoop`` themselves and decline others.

    name: what it is called; has_state: whether a call needs the one before; compensates: whether its reference is the
    reconstruction â.
    """

    name: ClassVar[str]
    has_state: ClassVar[bool] = True
    compensates: ClassVar[bool] = False

    @property
    def reconstructs(self) -> bool:
        """Whether ô = A(ref) after every call: the reference moves by what A was applied to, and by nothing else.

        Decided by the methods in use, so that a subclass that moves the reference in another way is not taken for one.
        """
        return self.compensates and _runs(self, ClosedLoop)

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
        output = affine(storage.ref_format.decode(ref, a) if self.reconstructs else a)
        return State(ref, _stored(storage, output), call + 1, computed=output)

    def init(
        self,
        a: Any,
        Q: Quantizer,
        A: Operator,
        *,
        warmup: Warmup = "exact",
        affine: Operator | None = None,
        random: Any = None,
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
        output = affine(storage.ref_format.decode(ref, a)) if self.reconstructs else state.o_hat
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
        if skip is None and A is identity and state.o_hat is state.ref and self.reconstructs:
            return State(new, new, state.call + 1, residual, hat, qparams)  # ô = A(â) = â: one sum serves both
        if storage.o_format is None:
            output = (affine or A)(form.decode(new, a))
            return State(new, None, state.call + 1, residual, hat, qparams, kept, output)
        # A of an exact zero is zero: at 0 bits the computation is skipped, which is what caching saves (Remark 4.1).
        # Not while the state is being made (call 0), where A is the affine map that brings shape and bias.
        if type(Q) is Zero and state.call > 0:
            output = storage.o_format.decode(state.o_hat, a)
        else:
            # what â really moved by: its rounding must reach ô, or the two part for good
            added = A(form.decode(new, a) - ref if storage.ref != "native" and self.reconstructs else hat)
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
        random: Any = None,
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


def get(recursion: str | Recursion) -> Recursion:
    """The recursion of this name; one of your own is returned as it is.

    Raises ValueError for an unknown name, listing the known ones, and TypeError for anything else.
    """
    if isinstance(recursion, Recursion):
        return recursion
    if not isinstance(recursion, str):
        made = f": pass an instance, {recursion.__name__}()" if isinstance(recursion, type) else ""
        raise TypeError(f"recursion must be one of {', '.join(RECURSIONS)} or a Recursion, got {recursion!r}{made}")
    if recursion not in RECURSIONS:
        raise ValueError(f"unknown recursion {recursion!r}; known: {', '.join(RECURSIONS)}")
    return RECURSIONS[recursion]


def _runs(recursion: Recursion, known: type[Recursion]) -> bool:
    """Whether every method and flag that decides a number is the known recursion's."""
    names = ("next_ref", "exact", "init", "step", "has_state", "compensates")
    own = vars(recursion)
    return not any(name in own or getattr(type(recursion), name) is not getattr(known, name) for name in names)


def standard(recursion: Recursion) -> str | None:
    """ "direct", "open_loop" or "closed_loop" if this recursion computes exactly what that one does, else None.

    Paths that do not run the recursion's own methods (fused kernels, closed forms, products of two activations) ask
    this, and decline what they do not implement.
    """
    return next((known.name for known in (Direct, OpenLoop, ClosedLoop) if _runs(recursion, known)), None)


def label(recursion: Recursion) -> str:
    """What a recursion is called in results: its registered name, or its class for one that is not registered."""
    name = getattr(recursion, "name", None)
    return str(name) if RECURSIONS.get(str(name)) is recursion else type(recursion).__qualname__
