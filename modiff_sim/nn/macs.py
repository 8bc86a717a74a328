"""Multiply-accumulates of elementary operations, seen below modules: what a model computes outside of its layers."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .. import cost
from .hooks.modes import On
from .hooks.undo import Context

aten = torch.ops.aten
#: positions of the two operands of a matrix product among the arguments
MATMUL = {
    aten.mm: (0, 1),
    aten.bmm: (0, 1),
    aten.mv: (0, 1),
    aten.dot: (0, 1),
    aten.addmm: (1, 2),
    aten.addmv: (1, 2),
    aten.baddbmm: (1, 2),
    aten.addmm_: (1, 2),
    aten.addmv_: (1, 2),
    aten.baddbmm_: (1, 2),
    aten._int_mm: (0, 1),
    aten._scaled_mm: (0, 1),
}
CONVOLUTION = {aten.convolution, aten._convolution}
#: names of operations that multiply matrices in some way
MULTIPLIES = re.compile(
    r"mm|mv$|linear|conv|rnn|lstm|gru|attention|cdist|cdist_forward|trilinear|einsum|tensordot|kron$"
)


def elementary_macs(packet: Any, args: Any, out: Any) -> int:
    """MACs of one call of an operation (a packet of ``torch.ops.aten``); 0 for one that does not multiply."""
    if packet in (aten.addbmm, aten.addbmm_):  # a sum over the batch
        return math.prod(args[1].shape) * args[2].shape[-1]
    if packet in MATMUL:
        left = args[MATMUL[packet][0]]
        return cost.matmul_macs(tuple(out.shape), left.shape[-1])
    if packet in CONVOLUTION:
        return convolution_macs(args, out)
    if packet.__name__.startswith("_scaled_dot_product"):
        q, k, v = args[:3]
        *batch, length, width = q.shape
        scores = (*batch, length, k.shape[-2])
        return cost.matmul_macs(scores, width) + cost.matmul_macs((*batch, length, v.shape[-1]), k.shape[-2])
    return 0


def convolution_macs(args: Any, out: Tensor) -> int:
    """MACs of ``aten.convolution``: each entry of the output meets one kernel.

    In a transposed convolution, each entry of the input does.
    """
    x, kernel, transposed = args[0], args[1], bool(args[6])
    return cost.conv_macs(tuple(x.shape if transposed else out.shape), tuple(kernel.shape))


@cache
def _composite(func: Any) -> bool:
    """Whether an operation is made of others; of ``prim.device`` torch cannot tell."""
    return func is not torch.ops.prim.device.default and func.has_kernel_for_dispatch_key(
        torch._C.DispatchKey.CompositeImplicitAutograd
    )


class Outside(TorchDispatchMode):
    """Counts MACs by module while a model call runs, except in ``left_out`` stretches, which are counted elsewhere.

    ``scope`` gives the name of the module that is being executed. ``weights`` are (layer, weight) of the layers. Their
    use outside of ``left_out`` stretches is noted in ``borrowed``: such weights are tied to something else.
    """

    def __init__(self, scope: Callable[[], str], weights: Iterable[tuple[str, Tensor]]) -> None:
        super().__init__()
        self.macs: Counter[str] = Counter()
        self.borrowed: dict[tuple[str, str], None] = {}  # (layer, module), an ordered set
        self.uncounted: dict[str, None] = {}
        self.scope = scope
        self._owners = {w.untyped_storage()._cdata: name for name, w in weights}
        self._out = 0

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """A stretch whose MACs are not counted here."""
        self._out += 1
        try:
            yield
        finally:
            self._out -= 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._out:
            return func(*args, **kwargs)
        packet = func.overloadpacket
        if _composite(func) and packet not in MATMUL and packet not in CONVOLUTION:
            with Context(lambda undo: undo.put(On(self))):  # in inference mode matmul and linear come in one piece
                return func.decompose(*args, **kwargs)
        out = func(*args, **kwargs)
        macs = elementary_macs(packet, args, out)
        if not macs and MULTIPLIES.search(packet.__name__):
            self.uncounted[f"{self.scope()}: {packet.__name__}"] = None
        if macs:
            where = self.scope()
            self.macs[where] += macs
            for x in tree_leaves((args, kwargs)):
                if isinstance(x, Tensor) and (layer := self._owners.get(x.untyped_storage()._cdata)) is not None:
                    self.borrowed[layer, where] = None
        return out


@dataclass
class _Watched:
    """What one model call computed."""

    outside: Outside
    samples: int
    inside: int = 0  # MACs of layers and products that have a row


class FirstCall:
    """What the first model call of a run computed, in rows of the audit and elsewhere. Only that call is watched.

    A model that is entered in several ways (see ``Calls``) has a first call of each.
    """

    def __init__(self) -> None:
        self._found: dict[int, _Watched] = {}  # by entrance
        self._now: _Watched | None = None
        self._last = 0  # the entrance that was watched last
        self._on: On | None = None

    def begin(
        self, scope: Callable[[], str], weights: Iterable[tuple[str, Tensor]], root: int, *, samples: int
    ) -> None:
        """A model call with this entrance begins; it is watched if no such call was watched before."""
        if root not in self._found:
            self._last, self._now = root, _Watched(Outside(scope, weights), max(samples, 1))
            self._found[root] = self._now
            self._on = On(self._now.outside)
            self._on.put()

    @property
    def watching(self) -> bool:
        """Whether the present call is watched."""
        return self._now is not None

    def end(self, failed: bool) -> None:
        """The call has ended. A failed call does not count as the first.

        After an interrupt, this may be called again.
        """
        self.remove()
        if self._now is not None:
            self._now.outside.scope = str  # no longer asks, or holds, anybody
            if failed:
                self.forget()
            self._now = None

    def forget(self) -> None:
        """The call that was watched was taken back, so it does not count as the first."""
        self._found.pop(self._last, None)

    def remove(self) -> None:
        """Make sure that the operations of the present thread are not watched."""
        if self._on is not None:
            self._on.remove()

    def row(self) -> AbstractContextManager[None]:
        """What runs inside has a row of its own."""
        return nullcontext() if self._now is None else self._now.outside.left_out()

    def add(self, macs: int) -> None:
        """Add MACs of a row, as the model has them (without repetitions in a warm-up)."""
        if self._now is not None:
            self._now.inside += macs

    def extrapolated(self, samples: Mapping[int, int], share: Callable[[str], float] | None = None) -> float:
        """MACs of all calls, if each has as many per sample as the first one with its entrance.

        Parameters
        ----------
        samples : mapping of int to int
            Samples over all calls, by entrance.
        share : callable, optional
            Only MACs outside of the rows, and of those in a module this share. By default all MACs.

        Returns
        -------
        float
            MACs; NaN where there was no call, or none of an entrance was watched.
        """
        if not samples or samples.keys() - self._found.keys():
            return float("nan")
        total = 0.0
        for root, found in self._found.items():
            outside = sum(macs * (1 if share is None else share(name)) for name, macs in found.outside.macs.items())
            total += (outside + (found.inside if share is None else 0)) * samples[root] / found.samples
        return total

    @property
    def inside(self) -> int:
        """MACs of layers and products that have a row."""
        return sum(found.inside for found in self._found.values())

    @property
    def elsewhere(self) -> dict[str, int]:
        """MACs outside of the rows, by module."""
        return dict(sum((found.outside.macs for found in self._found.values()), Counter[str]()))

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Operations that multiply and are not counted."""
        return tuple(dict.fromkeys(x for found in self._found.values() for x in found.outside.uncounted))

    @property
    def borrowed(self) -> tuple[tuple[str, str], ...]:
        """(layer, module) of weights that were used past their layer's forward."""
        return tuple(dict.fromkeys(x for found in self._found.values() for x in found.outside.borrowed))
