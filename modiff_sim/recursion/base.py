"""The recursion itself, and the base class of all that follow it."""

from __future__ import annotations

from typing import ClassVar

from array_api_compat import array_namespace

from ..quantizers.base import Quantizer
from ..typing import Array
from .options import Warmup, check_warmup, feeds
from .state import Info, Operator, State

Step = tuple[State, Info]


class Recursion:
    """How a call is done from the state that the call before left.

    A recursion holds no state of its own: every method takes the arrays it needs, and returns the new ``State``
    together with an ``Info`` for observers. A recursion of your own overrides ``next_ref``, or ``init`` and ``step``
    as a whole; it is run by its own methods everywhere. Faster paths implement ``Direct``, ``OpenLoop`` and
    ``ClosedLoop`` and decline all others.

    Attributes
    ----------
    name : str
        What the recursion is called in results, and in ``RECURSIONS``.
    has_state : bool
        Whether a call needs the one before.
    accumulates : bool
        Whether ô is a sum over the calls. Where it is made anew at every call, a step is given A with its bias.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> class Leaky(ms.recursion.Recursion):
    ...     name = "leaky"
    ...     def next_ref(self, ref, a, residual_hat):
    ...         return 0.5 * (ref + residual_hat)
    >>> inputs = np.array([[[1.0]], [[1.0]]])
    >>> [float(state.ref[0, 0]) for state, _ in ms.recursion.run(Leaky(), inputs, ms.AbsMax(8))]
    [1.0, 0.5]
    """

    name: ClassVar[str]
    has_state: ClassVar[bool] = True
    accumulates: ClassVar[bool] = True

    @property
    def reconstructs(self) -> bool:
        """Whether ô = A(ref) after every call: the reference moves by what A was applied to, and by nothing else."""
        return False

    def next_ref(self, ref: Array, a: Array, residual_hat: Array) -> Array:
        """Return the reference of the next call."""
        raise NotImplementedError  # pragma: no cover - abstract

    def exact(self, a: Array, affine: Operator, call: int = 0) -> Step:
        """Do a call in full precision: the start of Theorem 4.4, and every refresh."""
        output = affine(a)
        return State(a, output, call + 1), Info(output)

    def init(
        self,
        a: Array,
        Q: Quantizer,
        A: Operator,
        *,
        warmup: Warmup = "exact",
        affine: Operator | None = None,
        random: Array | None = None,
    ) -> Step:
        """Do call 0; without a state it is a call like every other, whatever the warm-up.

        ``affine`` is A with its bias (default: A has none); ``random`` holds one array per feeding.
        """
        affine = affine or A
        check_warmup(warmup)
        if self.has_state and warmup == "exact":
            return self.exact(a, affine)
        zero = array_namespace(a).zeros_like(a) if self.has_state else None
        state, info = State(zero, 0.0), Info(0.0)
        for i in range(feeds(warmup) if self.has_state else 1):
            bits = None if random is None else random[i]
            state, info = self.step(state, a, Q, A if i else affine, random=bits)
        return State(state.ref, state.o_hat, 1), info

    def step(self, state: State, a: Array, Q: Quantizer, A: Operator, *, random: Array | None = None) -> Step:
        """Do any later call: (7) of the paper or (13)-(14), according to ``next_ref``."""
        residual = a - state.ref
        residual_hat, qparams = Q.apply(residual, random=random)
        ref = self.next_ref(state.ref, a, residual_hat)
        o_hat = A(residual_hat) + state.o_hat
        return State(ref, o_hat, state.call + 1), Info(o_hat, residual, residual_hat, qparams)


#: every method and flag that decides a number
_DECIDES = ("next_ref", "exact", "init", "step", "has_state", "accumulates")


def runs(recursion: Recursion, known: type[Recursion], names: tuple[str, ...] = _DECIDES) -> bool:
    """Whether these methods and flags of a recursion are those of the known class, and none was put on the instance."""
    own = vars(recursion)
    return not any(name in own or getattr(type(recursion), name) is not getattr(known, name) for name in names)
