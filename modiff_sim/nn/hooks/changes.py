"""Detects that a model is changed while it is modulated: quantized weights and states belong to the model as it was.

The next model call notices a layer's weight or bias that is another tensor (loaded with ``assign=True``, ``.half()``,
``.to``, an adapter, a parametrization) or was written to (``load_state_dict``, a fused LoRA, an exchange with a moving
average, also through ``.data``); layers that were added, replaced or removed; and layers with another class or forward,
unless that forward wraps the one that was there. At ``reset`` every number is compared; at a call only a few of every
weight are, besides torch's own counter of writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from .patching import Patch, reached

#: entries of every weight that are compared before a model call
LOOKED_AT = 16
_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class ModelChanged(RuntimeError):
    """The model is not as it was when the context was entered."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} while the model was modulated: its quantized weights and states are of the model as it was. Leave "
            "the context, change the model, and enter the context again"
        )


class Source:
    """The tensor from which a quantized weight was made, where the module makes a new one for every call."""

    def __init__(self, layer: str, part: str) -> None:
        self._layer, self._part = layer, part
        self._first: Tensor | None = None

    def settle(self, own: Tensor) -> bool:
        """Whether this is the first time. Raises ModelChanged where the tensor differs from the first one."""
        if self._first is None:
            self._first = own.clone()
            return True
        first = self._first
        same = own is first or (own.shape, own.dtype, own.device) == (first.shape, first.dtype, first.device)
        if not same or not torch.equal(own, first):
            raise ModelChanged(f"the {self._part} of layer '{self._layer}' changed")
        return False


def _version(x: Tensor) -> int:
    return 0 if x.is_inference() else x._version


def _bits(x: Tensor) -> Tensor:
    """The memory of a dense tensor as flat integers, without a copy; as an integer, NaN is equal to itself."""
    flat = torch.as_strided(x.detach(), (x.numel(),), (1,), x.storage_offset())
    return flat.view(_BITS[x.element_size()])


def _dense(x: Tensor) -> bool:
    own = type(x) in (Tensor, nn.Parameter) and x.layout == torch.strided and x.element_size() in _BITS
    return own and not x.is_meta and x.numel() > 0 and torch.ops.aten.is_non_overlapping_and_dense.default(x)


class _Seen:
    """One parameter of one layer as it was."""

    def __init__(self, layer: str, part: str, module: nn.Module) -> None:
        self.layer, self.part, self.module = layer, part, module
        self.tensor: Tensor | None = module._parameters.get(part)
        self.looks = self._looks()
        dense = self.tensor is not None and _dense(self.tensor)
        self.bits: Tensor | None = _bits(self.tensor) if dense else None  # type: ignore[arg-type]
        step = 1 if self.bits is None else max(1, self.bits.numel() // LOOKED_AT)
        self.sample: Tensor | None = None if self.bits is None else self.bits[::step][: LOOKED_AT + 1]
        self.sum = self._sum()

    def _looks(self) -> tuple[Any, ...]:
        x = self.tensor
        plain = type(x) in (Tensor, nn.Parameter)  # others need not have an address
        return () if x is None or not plain else (_version(x), x.data_ptr(), x.dtype, x.device, x.shape, x.stride())

    def _sum(self) -> int:
        return 0 if self.bits is None else int(self.bits.sum(dtype=torch.int64))

    def changed(self) -> bool:
        return self.module._parameters.get(self.part) is not self.tensor or self._looks() != self.looks

    def rewritten(self) -> bool:
        return self._sum() != self.sum


def _class(module: nn.Module) -> tuple[type, Any]:
    """The module's class, and the forward of that class, which scripted modules do not have."""
    return type(module), getattr(type(module), "forward", None)


class Unchanged:
    """The layers of a model as they were when a context was entered. Made after everything was checked.

    ``layers`` are (name, module) of those whose parameters must stay; layers with weights that are made anew at every
    call check their own. ``names`` finds the names and modules of all layers of the model, supported or not.
    """

    def __init__(
        self, model: nn.Module, layers: Iterable[tuple[str, nn.Module]], names: Callable[[], dict[str, nn.Module]]
    ) -> None:
        self._names = names
        self._layers = names()
        self._classes = {name: _class(module) for name, module in self._layers.items()}
        self.patched: list[tuple[str, Patch]] = []  # name of the layer, and the patch that must still be on it
        self._around: dict[Patch, Any] = {}  # what was found around the patches, and allowed
        self._children = [(m._modules, tuple(m._modules.values())) for m in model.modules()]
        self._seen = [_Seen(name, part, module) for name, module in layers for part in ("weight", "bias")]
        self._samples = self._look()

    def forget(self) -> None:
        """Release the model; changes are no longer noticed."""
        self._names, self._layers, self._classes = dict, {}, {}
        self.patched, self._children, self._seen, self._samples = [], [], [], []
        self._around = {}

    def _look(self) -> list[Tensor]:
        """A few entries of every tensor, joined by dtype and device."""
        found: dict[Any, list[Tensor]] = {}
        for seen in self._seen:
            if seen.sample is not None:
                found.setdefault((seen.sample.dtype, seen.sample.device), []).append(seen.sample)
        return [torch.cat(parts) for parts in found.values()]

    def check(self, *, everything: bool = False) -> None:
        """Raise ModelChanged where the model was changed; ``everything`` compares every number."""
        for children, before in self._children:
            now = tuple(children.values())
            if len(now) != len(before) or any(a is not b for a, b in zip(now, before, strict=True)):
                self._check_layers()
                break
        for name, module in self._layers.items():
            if _class(module) != self._classes[name]:
                raise ModelChanged(f"the class of layer '{name}', or its forward, was exchanged")
        for name, patch in self.patched:
            found = patch.module.__dict__.get(patch.name)
            if found is not self._around.get(patch, patch):
                if not reached(patch):
                    raise ModelChanged(
                        f"the forward of '{name}' was exchanged for one that does not call what was there"
                    )
                self._around[patch] = found
        for seen in self._seen:
            if seen.changed():
                raise ModelChanged(f"the {seen.part} of layer '{seen.layer}' was changed or exchanged")
        for sample, again in zip(self._samples, self._look(), strict=True):
            if not torch.equal(sample, again):
                raise ModelChanged("weights of layers were written to")
        if everything:
            for seen in self._seen:
                if seen.rewritten():
                    raise ModelChanged(f"the {seen.part} of layer '{seen.layer}' was written to")

    def _check_layers(self) -> None:
        now = self._names()
        for name in {**self._layers, **now}:
            if self._layers.get(name) is not now.get(name):
                how = (
                    "was added" if name not in self._layers else "was taken away" if name not in now else "was replaced"
                )
                raise ModelChanged(f"layer '{name}' {how}")
