"""The linear operators of a model: which modules they are, A without its bias, their MACs.

Supported: Conv1d, Conv2d and Linear whose forward is torch's own, the instance's as well as the class's. Anything else
with a weight matrix is named in the audit as unsupported and runs as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import cost
from ..quantizer import Quantizer

KINDS: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.Conv2d, nn.Linear)
Where = Callable[[str, nn.Module], bool]


def kind(module: nn.Module) -> str | None:
    """ "Conv1d", "Conv2d" or "Linear" for a supported module, else None."""
    for known in KINDS:
        if isinstance(module, known) and type(module).forward is known.forward:
            own = module.__dict__.get("forward")  # of this one instance: what it does is known of a run's only
            plain = own is None or hasattr(own, "modiff_run") or getattr(own, "__func__", None) is known.forward
            return known.__name__ if plain else None
    return None


def find(model: nn.Module, where: Where | None) -> dict[str, nn.Module]:
    """Supported modules by qualified name, those that ``where`` keeps."""
    named = {name or "(root)": module for name, module in model.named_modules() if kind(module)}
    return {name: module for name, module in named.items() if where is None or where(name, module)}


def unsupported(model: nn.Module) -> list[str]:
    """ "name (class)" of modules that own a matrix-like parameter and are not supported."""
    return [
        f"{name or '(root)'} ({type(module).__name__})"
        for name, module in model.named_modules()
        if not kind(module) and any(p.ndim >= 2 for p in module.parameters(recurse=False))
    ]


@runtime_checkable
class WeightSource(Protocol):
    """Ready-made quantized weights, such as ``weights.QuantizedWeights``."""

    def weight(self, name: str, module: nn.Module) -> Tensor | None:
        """The dequantized weight of a layer, shape and dtype of the module's; None leaves it in full precision."""
        ...  # pragma: no cover - protocol

    def bits(self, name: str) -> int:
        """Bits of a layer's codes."""
        ...  # pragma: no cover - protocol


Weights = Quantizer | WeightSource | None


def check_weights(weights: Weights) -> None:
    """Raise TypeError or ValueError for what cannot quantize weights."""
    if isinstance(weights, Quantizer):
        if weights.laws.randomised:
            raise ValueError(f"weights are quantized once, without random bits: {weights} does not fit")
    elif weights is not None and (isinstance(weights, type) or not isinstance(weights, WeightSource)):
        raise TypeError(f"weights must be a quantizer such as AbsMax(bits=8) or quantized weights, got {weights!r}")


class Operator:
    """A of one layer. ``linear(a)`` is A(a), ``affine(a)`` is A(a) + bias; weights are quantized once, here.

    Nothing is written to the module: quantized weights live in this object.
    """

    def __init__(self, name: str, module: nn.Module, weights: Weights) -> None:
        self.name, self.module, self.kind = name, module, kind(module)
        self.weight_bits = 32
        self.quantized: Tensor | None = None
        self._macs: dict[torch.Size, int] = {}
        if weights is None:
            return
        try:
            own: Tensor = module.weight.detach()  # type: ignore[operator]
            made: Tensor | None
            if isinstance(weights, Quantizer):
                made, self.weight_bits = weights(own), weights.bits
            elif (made := weights.weight(name, module)) is not None:
                if made.shape != own.shape:
                    raise ValueError(f"shape {tuple(made.shape)} given, {tuple(own.shape)} needed")
                self.weight_bits = weights.bits(name)
            if made is not None:
                self.quantized = torch.empty_like(own).copy_(made)  # own's device, dtype and memory layout
        except (TypeError, ValueError) as error:
            raise type(error)(f"weight of layer '{name}': {error}") from None

    @property
    def weight(self) -> Tensor:
        """The weight that is used: quantized, or the module's own."""
        return self.module.weight if self.quantized is None else self.quantized  # type: ignore[return-value]

    def _apply(self, a: Tensor, bias: Tensor | None) -> Tensor:
        weight: Any = self.weight
        if isinstance(self.module, nn.Linear):
            return F.linear(a, weight, bias)
        return self.module._conv_forward(a, weight, bias)  # type: ignore[operator]  # knows padding modes

    def linear(self, a: Tensor) -> Tensor:
        return self._apply(a, None)

    def affine(self, a: Tensor) -> Tensor:
        return self._apply(a, self.module.bias)  # type: ignore[arg-type]

    def macs(self, output: Tensor) -> int:
        """MACs of one call, the whole batch."""
        if output.shape not in self._macs:  # asked for at every call
            shape = tuple(output.shape)
            if isinstance(self.module, nn.Linear):
                self._macs[output.shape] = cost.linear_macs(shape, self.module.in_features)
            else:
                self._macs[output.shape] = cost.conv_macs(shape, tuple(self.module.weight.shape))  # type: ignore[arg-type]
        return self._macs[output.shape]


class Occurrences:
    """Which occurrence of a layer within one model call this is: 0 unless the model uses a layer several times.

    A layer that is called from outside the model's forward is at occurrence 0 each time. ``on_enter`` is called when
    the model's forward begins, ``on_leave`` when it ends, with whether it ended with an exception.
    """

    def __init__(
        self, model: nn.Module, on_enter: Callable[[], Any] | None = None, on_leave: Callable[[bool], Any] | None = None
    ) -> None:
        self._on_enter, self._on_leave = on_enter, on_leave
        self.model_calls = 0
        self._inside = False
        self._seen: dict[str, int] = {}
        self._hooks = [
            model.register_forward_pre_hook(self._enter, prepend=True),
            model.register_forward_hook(self._leave, always_call=True),
        ]

    def _enter(self, *_: Any) -> None:
        self.settle()
        self._inside = True
        self._seen.clear()
        self.model_calls += 1
        if self._on_enter:
            self._on_enter()

    def _leave(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        if self._inside:  # else another hook failed before the forward began
            self._end(output is None and sys.exc_info()[0] is not None)  # how torch calls a hook after an exception

    def _end(self, failed: bool) -> None:
        self._inside = False
        self.model_calls -= failed
        if self._on_leave:
            self._on_leave(failed)

    def settle(self) -> None:
        """After what torch calls no hooks for (KeyboardInterrupt) the last call is still open: it failed.

        Not from within a call.
        """
        if self._inside:
            self._end(failed=True)

    def take(self, name: str) -> int:
        """The occurrence of this call of the layer."""
        return self.skip(name, 1)

    def skip(self, name: str, times: int) -> int:
        """Pass over calls of a layer that are not made; returns the occurrence of the first of them."""
        if not self._inside:
            return 0
        index = self._seen.get(name, 0)
        self._seen[name] = index + times
        return index

    def remove(self) -> None:
        """Take the hooks off the model."""
        self.settle()
        for hook in self._hooks:
            hook.remove()


def occurrence_name(name: str, occurrence: int) -> str:
    """ "name", and "name#1", "name#2", ... for further occurrences within one model call."""
    return name if occurrence == 0 else f"{name}#{occurrence}"


def finite(x: Tensor) -> bool:
    """Whether all of a tensor is finite (one synchronisation)."""
    return bool(torch.isfinite(x).all())
