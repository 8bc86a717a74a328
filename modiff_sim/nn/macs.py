"""Multiply-accumulates of elementary operations, seen below modules: what a model computes outside of its layers."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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


class FirstCall:
    """What the first model call of a run computed, in rows of the audit and elsewhere. Only that call is watched."""

    def __init__(self) -> None:
        self.inside = 0  # MACs of layers and products that have a row
        self._outside: Outside | None = None
        self._on: On | None = None
        self.watching = False

    def begin(self, scope: Callable[[], str], weights: Iterable[tuple[str, Tensor]]) -> None:
        """A model call begins; it is watched if no call was watched before."""
        if self._outside is None:
            self.inside, self._outside, self.watching = 0, Outside(scope, weights), True
            self._on = On(self._outside)
            self._on.put()

    def end(self, failed: bool) -> None:
        """The call has ended. A failed call does not count as the first.

        After an interrupt, this may be called again.
        """
        self.remove()
        if self.watching and self._outside is not None:
            self._outside.scope = str  # no longer asks, or holds, anybody
            if failed:
                self._outside = None
            self.watching = False

    def forget(self) -> None:
        """The call that was watched was taken back, so it does not count as the first."""
        self._outside = None

    def remove(self) -> None:
        """Make sure that the operations of the present thread are not watched."""
        if self._on is not None:
            self._on.remove()

    def row(self) -> AbstractContextManager[None]:
        """What runs inside has a row of its own."""
        return self._outside.left_out() if self.watching and self._outside is not None else nullcontext()

    def add(self, macs: int) -> None:
        """Add MACs of a row, as the model has them (without repetitions in a warm-up)."""
        if self.watching:
            self.inside += macs

    @property
    def elsewhere(self) -> dict[str, int]:
        """MACs outside of the rows, by module."""
        return {} if self._outside is None else dict(self._outside.macs)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Operations that multiply and are not counted."""
        return () if self._outside is None else tuple(self._outside.uncounted)

    @property
    def borrowed(self) -> tuple[tuple[str, str], ...]:
        """(layer, module) of weights that were used past their layer's forward."""
        return () if self._outside is None else tuple(self._outside.borrowed)
