"""How much memory a model call needs, from shapes alone, and the micro-batch that fits a budget.

A measured number differs from machine to machine, and the micro-batch decides the bytes of a result. The need is
therefore predicted by a rule, which is the same everywhere.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ...cost import predict_state_bytes, working_set
from ..hooks.modes import On, inference
from ..hooks.undo import Context
from .shapes import model_shapes, on_meta, refuse_modulated


class _Live(TorchDispatchMode):
    """Counts the bytes of the storages that operations make, from the operation until the storage is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        out = func(*args, **(kwargs or {}))
        for t in tree_leaves(out):
            if isinstance(t, Tensor):
                storage = t.untyped_storage()
                if storage._cdata not in self._seen | before:  # a view shares a storage that is counted already
                    self._seen.add(storage._cdata)
                    self.now += storage.nbytes()
                    weakref.finalize(storage, self._freed, storage._cdata, storage.nbytes())
        self.most = max(self.most, self.now)
        return out

    def _freed(self, which: int, size: int) -> None:
        self._seen.discard(which)
        self.now -= size


def live_bytes(model: nn.Module, *inputs: Any, **named: Any) -> int:
    """The most bytes of tensors that are alive at one time in ``model(*inputs, **named)``, without weights and inputs.

    Nothing is computed: everything is on the meta device, and the model is not changed. Workspaces of kernels are not
    seen.

    Raises RuntimeError for a model that is modulated, or that cannot be run on the meta device.
    """
    refuse_modulated(model)
    hint = "pass inputs that fit; for a model that looks at values the need is not predicted, choose its batch yourself"
    _, call = on_meta(model, inputs, named, hint)
    live = _Live()
    with inference(False), Context(lambda undo: undo.put(On(live))):
        call()
    return live.most


@dataclass(frozen=True)
class Needs:
    """Predicted bytes of a sampling process: ``fixed`` once, and ``per_image`` for every image of a micro-batch.

    The interpreter and its libraries (some 400 MiB) and workspaces of kernels come on top.
    """

    fixed: int
    per_image: int

    def total(self, batch: int) -> int:
        """Bytes for a micro-batch of this size."""
        return self.fixed + batch * self.per_image

    def largest_batch(self, budget: int, most: int = 1024) -> int:
        """The largest power of two that fits, at most ``most``. Raises ValueError where not even one image fits."""
        if self.total(1) > budget:
            raise ValueError(
                f"one image needs {self.total(1) / 2**20:.1f} MiB, the budget is {budget / 2**20:.1f} MiB: raise it"
            )
        batch = 1
        while 2 * batch <= most and self.total(2 * batch) <= budget:
            batch *= 2
        return batch


def needs(model: nn.Module, *inputs: Any, weights: bool, states: bool, **named: Any) -> Needs:
    """What sampling with this model needs; ``inputs`` and ``named`` are those of one image.

    ``weights`` says whether quantized weights lie beside the model's own. ``states`` says whether there are states of
    the open or the closed loop, as computed: those of the last call, which must outlive a call that fails, those of
    this call, buffers of the same size, and one residual per shape. Raises RuntimeError as ``live_bytes``.
    """
    per_image = live_bytes(model, *inputs, **named)
    shapes = model_shapes(model, *inputs, **named)
    size = 4 if (first := next(model.parameters(), None)) is None else first.element_size()
    if weights or states:
        per_image += working_set(shapes.layers, itemsize=size)
    if states:
        residuals = sum(size * math.prod(shape) for shape in {layer.input for layer in shapes.layers})
        per_image += 3 * predict_state_bytes(shapes, itemsize=size) + residuals
    return Needs(shapes.parameters * size * (1 + weights), per_image)
