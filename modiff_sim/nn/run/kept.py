"""What a run keeps of a layer between calls."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ...recursion import State


@dataclass(frozen=True)
class Like:
    """What the next input must be like."""

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


class Kept(NamedTuple):
    """A layer's state between calls, as ``recursion.State`` without what only observers need.

    ``like`` is what the next input must be like, ``spare`` see ``fused.Step``, ``whole`` the state itself of a
    recursion of the user's own, which may need all of it.
    """

    ref: Any
    o_hat: Any
    call: int
    like: Any = None
    spare: Any = None
    whole: Any = None

    def copy(self) -> Kept:
        """The same with arrays of its own."""
        ref, o_hat = (pytree.tree_map(_cloned, part) for part in (self.ref, self.o_hat))
        return Kept(ref, o_hat, self.call, self.like, self.spare, _whole(self.whole))

    @staticmethod
    def whole_of(after: State, a: Tensor, output: Tensor) -> Kept:
        """The whole state of a recursion of the user's own; what shares memory with input or output is copied."""
        given = {x.untyped_storage()._cdata for x in (a, output)}

        def own(x: Any) -> Any:
            return x.clone() if isinstance(x, Tensor) and x.untyped_storage()._cdata in given else x

        whole = replace(after, **{f.name: pytree.tree_map(own, getattr(after, f.name)) for f in fields(after)})
        return Kept(whole.ref, whole.o_hat, whole.call, like=Like(a), whole=whole)


def _cloned(x: Any) -> Any:
    return x.clone() if isinstance(x, Tensor) else x


def _whole(state: State | None) -> State | None:
    if state is None:
        return None
    return replace(state, **{f.name: pytree.tree_map(_cloned, getattr(state, f.name)) for f in fields(state)})
