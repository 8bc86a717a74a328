"""What a run keeps from one model call to the next: the states of layers, products and branches, and random bits.

``RunStates`` owns all of it. Every pass of a model that is called several times within a step (guidance without a
doubled batch) has a ``PassStates`` of its own; the layers, products and branches read and write those of the present
pass.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..recursion import State, bilinear
from ..recursion.storage import kept_bytes
from .hooks.modes import inference
from .random_bits import RandomBits

#: the pass of a model that is called once per step
FIRST_PASS: Hashable = ((), 0)


@dataclass(frozen=True)
class Like:
    """What the next input of a layer must be like."""

    shape: Any
    dtype: torch.dtype
    device: torch.device

    def __init__(self, a: Tensor) -> None:
        for name in ("shape", "dtype", "device"):
            object.__setattr__(self, name, getattr(a, name))

    def check(self, a: Tensor, who: str) -> None:
        """Raise ValueError for an input of another kind."""
        for what in ("shape", "dtype", "device"):
            before, now = getattr(self, what), getattr(a, what)
            if before != now:
                shown = [tuple(x) if isinstance(x, torch.Size) else x for x in (before, now)]
                raise ValueError(
                    f"{who}: {what} changed from {shown[0]} to {shown[1]}; the state is of another batch: call "
                    "run.reset() before a new one (or put calls of two kinds, as guidance makes them, into "
                    '`with run.apart("name"):`)'
                )


class Step(NamedTuple):
    """What a step in place leaves: the next reference and ô (None: no state), the output, and what the audit counts.

    largest: max|.| of every block, on the CPU; non-finite where the input is.
    spare: the buffers of the state before, to be written by the next step: a failed model call finds its own intact.
           () is none yet; None says that others may hold what the next step leaves, which must not be written.
    """

    ref: Tensor | None
    o_hat: Tensor | None
    output: Tensor
    largest: list[float]
    spare: tuple[Tensor, ...] | None = None


class KeptLayer(NamedTuple):
    """A layer's state, what the next input must be like, and buffers for the next step (see ``Step``)."""

    state: State
    like: Like | None = None
    spare: tuple[Tensor, ...] | None = None

    def bytes(self) -> int:
        """Bytes of the state; the buffers are not counted."""
        return kept_bytes(self.state.ref) + kept_bytes(self.state.o_hat)

    def copied(self) -> KeptLayer:
        """The same with arrays of its own."""
        return self._replace(state=_each(self.state, lambda x: x.clone() if isinstance(x, Tensor) else x))

    @classmethod
    def owning(cls, state: State, a: Tensor, output: Tensor) -> KeptLayer:
        """The state of a recursion of the user's own; what shares memory with input or output is copied."""
        given = {x.untyped_storage()._cdata for x in (a, output)}
        own = _each(state, lambda x: x.clone() if isinstance(x, Tensor) and x.untyped_storage()._cdata in given else x)
        return cls(own, Like(a))


def _each(state: State, change: Any) -> State:
    """The state with every array changed; a recursion of the user's own may have put trees of them into any field."""
    return replace(state, **{f.name: pytree.tree_map(change, getattr(state, f.name)) for f in fields(state)})


class KeptProduct(NamedTuple):
    """A product's state, and shape, dtype and device of its operands."""

    state: bilinear.ProductState
    like: tuple[Any, ...]

    def bytes(self) -> int:
        """Bytes of both references and ô."""
        return sum(map(kept_bytes, (self.state.left, self.state.right, self.state.o_hat)))


class KeptOutput(NamedTuple):
    """A branch's last output (a tree of tensors), the shapes of its inputs, its next call, and what it computed."""

    output: Any
    shapes: list[tuple[int, ...]]
    call: int
    work: Any

    def bytes(self) -> int:
        """Bytes of the tensors in the output."""
        return sum(kept_bytes(x) for x in pytree.tree_leaves(self.output) if isinstance(x, Tensor))


@dataclass
class PassStates:
    """The states of one pass. A key is a name and its occurrence within a model call; a product's name says both."""

    layers: dict[tuple[str, int], KeptLayer] = field(default_factory=dict)
    products: dict[str, KeptProduct] = field(default_factory=dict)
    branches: dict[tuple[str, int], KeptOutput] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.layers or self.products or self.branches)

    def bytes(self) -> int:
        """Bytes held between calls: â and ô as kept, operands of products, reused outputs."""
        held = 0
        for states in (self.layers, self.products, self.branches):
            held += sum(kept.bytes() for kept in states.values())
        return held

    def copied(self, *, arrays: bool) -> PassStates:
        """The same in dictionaries of its own. States are immutable; ``arrays`` copies those of the layers as well."""
        layers = {k: s.copied() for k, s in self.layers.items()} if arrays else dict(self.layers)
        return PassStates(layers, dict(self.products), dict(self.branches))


class RunStates:
    """All states of a run, by pass, and its random bits: one snapshot, one restore, one byte count."""

    def __init__(self, seed: int) -> None:
        self.random = RandomBits(seed)
        self.product_random = RandomBits(seed, other=1 << 62)  # the bits of the layers begin at the same seed
        self.where: Hashable = FIRST_PASS
        self._by_pass: dict[Hashable, PassStates] = {FIRST_PASS: PassStates()}
        self._most = 1

    @property
    def present(self) -> PassStates:
        """The states of the present pass."""
        return self._by_pass[self.where]

    def go(self, where: Hashable) -> None:
        """Make this pass the present one."""
        self._by_pass.setdefault(where, PassStates())
        self.where = where
        self._most = self.most

    @property
    def most(self) -> int:
        """How many passes had states at one time, at most; at least 1."""
        return max(self._most, sum(map(bool, self._by_pass.values())))

    def __bool__(self) -> bool:
        return len(self._by_pass) > 1 or bool(self.present)

    def forget(self, where: Hashable = FIRST_PASS) -> None:
        """Forget the states of all passes, and go to this one."""
        self._most = self.most
        self._by_pass[where] = PassStates()
        self.where = where
        for other in [key for key in self._by_pass if key != where]:
            del self._by_pass[other]

    def restart(self, stream: int) -> None:
        """Begin this stream of random bits from its start."""
        self.random.restart(stream)
        self.product_random.restart(stream)

    def bytes(self) -> int:
        """Bytes held between calls, of all passes."""
        return sum(states.bytes() for states in self._by_pass.values())

    def snapshot(self, *, arrays: bool) -> Any:
        """All that a failed model call must not change; ``arrays`` as in ``PassStates.copied``."""
        bits = self.random.snapshot(), self.product_random.snapshot()
        return self.where, self.present.copied(arrays=arrays), bits

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot."""
        self.where, self._by_pass[snapshot[0]], bits = snapshot
        self.random.restore(bits[0])
        self.product_random.restore(bits[1])


def owned(make: Callable[[], Tensor]) -> Tensor:
    """A new tensor that can be written in any mode: one made in inference mode could not be outside of it."""
    if not (torch.is_inference_mode_enabled() or torch.is_grad_enabled()):
        return make()
    with inference(False):
        return make()


def writable(spare: Tensor | None, like: Tensor) -> bool:
    """Whether a spare buffer can take what is like this."""
    return spare is not None and not spare.is_inference() and spare.shape == like.shape and spare.dtype == like.dtype
