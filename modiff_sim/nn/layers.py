"""The linear operators of a model: which modules they are, A without its bias, and their MACs.

Supported are Conv1d, Conv2d and Linear with torch's own ``forward``. A forward that somebody has put around it on the
one module (for offloading, casting or caching) is kept, and what reaches the linear operation inside it is quantized.
Any other class with a weight matrix is named in the audit as unsupported and runs as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from .. import cost
from ..names import meant
from ..quantizers.base import Quantizer
from .hooks.changes import ModelChanged, Source
from .hooks.modules import check_module
from .hooks.patching import own_forward

KINDS: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.Conv2d, nn.Linear)
Where = Callable[[str, nn.Module], bool]
#: one way to choose layers: a name or pattern (``*``, ``?``, ``[...]``), or a predicate
What = str | Where
#: how ``where=`` is said: one of these or several, of which at least one keeps a layer; None keeps all
Chosen = What | Sequence[What] | None


def _torchs(known: type[nn.Module], name: str) -> Any:
    """A method of torch's own class as torch wrote it; None where somebody had put another method in its place."""
    found = getattr(known, name, None)
    return found if getattr(found, "__module__", None) == known.__module__ else None


#: as they are when this module is imported, because libraries replace them for every layer of a class
_FORWARDS = {known: _torchs(known, "forward") for known in KINDS}
_CONVOLUTIONS = {known: _torchs(known, "_conv_forward") for known in KINDS}


def kind(module: nn.Module) -> str | None:
    """The name "Conv1d", "Conv2d" or "Linear" of a supported module, else None."""
    for known in KINDS:
        if isinstance(module, known):
            return known.__name__ if type(module).forward is _FORWARDS[known] else None
    return None


def stock(module: nn.Module) -> bool:
    """Whether a supported module is known to be linear, because it runs torch's own code on a plain weight."""
    known = next(k for k in KINDS if isinstance(module, k))
    changed = getattr(type(module), "_conv_forward", None) is not _CONVOLUTIONS[known]
    return not changed and "_conv_forward" not in module.__dict__ and type(module.weight) in (Tensor, nn.Parameter)


def find(model: nn.Module, where: Chosen) -> dict[str, nn.Module]:
    """Supported modules by qualified name, as far as ``where`` keeps them.

    Raises ValueError for a pattern that fits none of them, and TypeError for what chooses no layers or is no model.
    """
    check_module(model)
    named = {name or "(root)": module for name, module in model.named_modules() if kind(module)}
    keeps = [] if where is None else [_predicate(what, named, model) for what in several(where)]
    return {k: module for k, module in named.items() if where is None or any(keep(k, module) for keep in keeps)}


def several(where: Chosen) -> list[What]:
    """The patterns and predicates of ``where``. Raises TypeError for what is neither, or no sequence of these."""
    if isinstance(where, str) or callable(where):
        return [where]
    if isinstance(where, Sequence) and all(isinstance(what, str) or callable(what) for what in where):
        return list(where)
    raise TypeError(
        "where must be a pattern of layers' names or a function (name, module) -> bool, or a list of these; "
        f"got {where!r}"
    )


def _predicate(what: What, named: Mapping[str, nn.Module], model: nn.Module) -> Where:
    if not isinstance(what, str):
        return what
    if not any(fnmatchcase(name, what) for name in named):
        some = not_supported(what, unsupported(model)) or meant(what, named)
        some = some or (f", such as {next(iter(named))!r}" if named else "")
        raise ValueError(f"the pattern {what!r} fits none of the {len(named)} layers of {type(model).__name__}{some}")
    return lambda name, module: fnmatchcase(name, what)


def unsupported(model: nn.Module) -> list[str]:
    """The modules that own a matrix-like parameter and are not supported, each as "name (class)"."""
    return [
        f"{name or '(root)'} ({type(module).__name__})"
        for name, module in model.named_modules()
        if not kind(module) and _owns_a_matrix(module)
    ]


def not_supported(pattern: str, others: Sequence[str]) -> str:
    """The end of a message, where a name or pattern fits some of ``unsupported``; empty where it fits none."""
    fits = [each for each in others if fnmatchcase(each.rpartition(" (")[0], pattern)]
    return f": {fits[0]} is none of {', '.join(k.__name__ for k in KINDS)}, and is left as it is" if fits else ""


def with_matrices(model: nn.Module) -> dict[str, nn.Module]:
    """Supported modules, and all others that own a matrix-like parameter, by qualified name."""
    return {name: module for name, module in model.named_modules() if kind(module) or _owns_a_matrix(module)}


def _owns_a_matrix(module: nn.Module) -> bool:
    """Whether a module owns a parameter with two or more axes.

    A parametrization does not count: its parameters make the weight of the layer around it.
    """
    matrix = any(p.ndim >= 2 for p in module.parameters(recurse=False))
    return matrix and not isinstance(module, nn.utils.parametrize.ParametrizationList)


def sample_axis(model: nn.Module) -> int:
    """Axis of the model's samples: 1 for arrays (tokens, samples, channels), else 0.

    It is 1 where one of torch's modules in the model says so with ``batch_first=False``.
    """
    return int(any(getattr(m, "batch_first", None) is False for m in model.modules()))


def samples(arguments: Mapping[str, Any], axis: int) -> int:
    """The number of samples of a model call: the size of this axis of its first array; 0 without an array."""
    arrays = (x for x in pytree.tree_leaves(dict(arguments)) if isinstance(x, Tensor) and x.ndim > 1)
    first = next(arrays, None)
    return 0 if first is None else int(first.shape[axis if first.ndim == 3 else 0])


@runtime_checkable
class WeightSource(Protocol):
    """Protocol of ready-made quantized weights, such as ``weights.QuantizedWeights``."""

    def weight(self, name: str, module: nn.Module) -> Tensor | None:
        """The dequantized weight of a layer, in the module's shape and dtype; None leaves it in full precision."""
        ...  # pragma: no cover - protocol

    def bits(self, name: str) -> int:
        """Bits of the layer's codes."""
        ...  # pragma: no cover - protocol


Weights = Quantizer | WeightSource | None


def check_weights(weights: Weights) -> None:
    """Raise TypeError or ValueError for what cannot quantize weights."""
    if isinstance(weights, Quantizer):
        if weights.laws.randomised:
            raise ValueError(f"weights are quantized once, without random bits: {weights} does not fit")
    elif weights is not None and (isinstance(weights, type) or not isinstance(weights, WeightSource)):
        raise TypeError(f"weights must be a quantizer such as AbsMax(bits=8) or quantized weights, got {weights!r}")


def brought(model: nn.Module) -> set[nn.Module]:
    """Modules whose weights other libraries may bring for a call.

    They have hooks before the call, or a forward that was replaced. Offloading, casting and sharding do so, on a layer
    or on a module around it.
    """
    around = (m for m in model.modules() if own_forward(m) is not None or m._forward_pre_hooks)
    return {inner for m in around if m is not model for inner in m.modules()}


def _addresses(weight: Tensor | None, bias: Tensor | None) -> tuple[int, int]:
    """The memory addresses of weight and bias; 0 for tensors of other types, which need not have one."""
    plain = (Tensor, nn.Parameter)
    return (weight.data_ptr() if type(weight) in plain else 0), (bias.data_ptr() if type(bias) in plain else 0)  # type: ignore[union-attr]


def _settings(module: Any) -> tuple[Any, ...]:
    """How a convolution moves over its input; empty for a linear layer."""
    if isinstance(module, nn.Linear):
        return ()
    return module.stride, module.padding, module.dilation, module.groups, module.padding_mode


class Operator:
    """A of one layer: ``linear(a)`` is A(a), ``affine(a)`` is A(a) + bias. Weights are quantized once.

    Nothing is written to the module: quantized weights live in this object. A weight that is made anew at every call
    (weight norm, spectral norm, pruning masks, offloading, casting) is quantized at the layer's first call, as it is
    then; the same weight must come back at every further call.
    """

    def __init__(self, name: str, module: nn.Module, weights: Weights, *, anew: bool = False) -> None:
        self.name, self.module, self.kind = name, module, kind(module)
        self.weight_bits = 32
        self.quantized: Tensor | None = None
        self.stock = stock(module)
        self.is_linear: bool | None = True if self.stock else None  # None: not yet known
        self.weights = weights
        self._macs: dict[torch.Size, int] = {}
        # made anew for every call by masks, norms and parametrizations, or brought by other libraries
        own, bias = module._parameters.get("weight"), getattr(module, "bias", None)
        self._remade = {
            "weight": anew or own is None or own.is_meta,
            "bias": bias is not None and (anew or module._parameters.get("bias") is None),
        }
        self._sources = {part: Source(name, part) for part in ("weight", "bias")}
        parameters = module._parameters
        self._own = None if self.remade else (parameters.get("weight"), parameters.get("bias"))
        self._at = (0, 0) if self._own is None else _addresses(*self._own)
        self._settings = _settings(module)
        if isinstance(weights, Quantizer):
            self.weight_bits = weights.bits
        elif weights is not None and weights.weight(name, module) is not None:
            self.weight_bits = weights.bits(name)
        if not self.remade:
            self._quantize(self.own_weight)

    def _quantize(self, own: Tensor) -> None:
        weights, made = self.weights, None
        try:
            if isinstance(weights, Quantizer):
                made = weights(own)
            elif weights is not None:
                made = weights.weight(self.name, self.module)
            if made is not None and made.shape != own.shape:
                raise ValueError(f"shape {tuple(made.shape)} given, {tuple(own.shape)} needed")
            if made is not None:
                self.quantized = torch.empty_like(own).copy_(made)  # own's device, dtype and memory layout
        except (TypeError, ValueError) as error:
            raise type(error)(f"weight of layer '{self.name}': {error}") from None
        except (NotImplementedError, RuntimeError) as error:  # a dtype without arithmetic
            raise ValueError(f"weight of layer '{self.name}' of {own.dtype} cannot be quantized: {error}") from error

    @property
    def remade(self) -> bool:
        """Whether the weight is made anew for every call."""
        return self._remade["weight"]

    def verify(self) -> None:
        """Raise ModelChanged where the parameters of the module, or its way to convolve, are not what they were."""
        if self._own is not None:
            weight, bias = self._own
            now = self.module._parameters
            same = now.get("weight") is weight and now.get("bias") is bias
            if not same or _addresses(weight, bias) != self._at:
                raise ModelChanged(f"weight or bias of layer '{self.name}' was changed or exchanged")
        if self._settings != _settings(self.module):
            raise ModelChanged(f"stride, padding, dilation or groups of layer '{self.name}' were changed")
        if self._remade["bias"]:
            self._sources["bias"].settle(self.module.bias.detach())  # type: ignore[operator]

    @property
    def own_weight(self) -> Tensor:
        """The weight of the module as it is now."""
        weight: Tensor = self.module.weight.detach()  # type: ignore[operator]
        return weight

    @property
    def weight(self) -> Tensor:
        """The weight that is used: the quantized one, or the module's own.

        Raises ModelChanged, a RuntimeError, where a weight that is made anew at every call has changed.
        """
        if not self.remade:
            return self.module.weight if self.quantized is None else self.quantized  # type: ignore[return-value]
        own = self.own_weight
        if self._sources["weight"].settle(own) and self.weights is not None:
            self._quantize(own)
        return own if self.quantized is None else self.quantized

    def _apply(self, a: Tensor, bias: Tensor | None, weight: Tensor | None = None) -> Tensor:
        used: Any = self.weight if weight is None else weight
        if isinstance(self.module, nn.Linear):
            return F.linear(a, used, bias)
        # it handles padding modes, and may be a subclass's own or one put on this module
        out: Tensor = self.module._conv_forward(a, used, bias)  # type: ignore[operator]
        shared = not self.stock and out.untyped_storage()._cdata == a.untyped_storage()._cdata
        return out.clone() if shared else out

    def linear(self, a: Tensor) -> Tensor:
        """A(a), without the bias."""
        return self._apply(a, None)

    def affine(self, a: Tensor) -> Tensor:
        """A(a) + bias."""
        return self._apply(a, self.module.bias)  # type: ignore[arg-type]

    def check_linear(self, a: Tensor) -> bool:
        """Whether A(x + y) = A(x) + A(y) for two random inputs like ``a``, which is tried once and remembered.

        The random numbers come from a generator of their own. No hooks run, and nothing is counted.
        """
        if self.is_linear is None:
            one = a if a.ndim == 1 or self.without_batch(a) else a[:1]
            generator = torch.Generator(a.device).manual_seed(0)
            largest = float(one.abs().max()) or 1.0
            eps = max(torch.finfo(v.dtype).eps for v in (a, self._apply(one, None, self.own_weight)))

            def adds_up(size: float) -> bool:
                draws = (torch.randn(one.shape, generator=generator, device=a.device, dtype=a.dtype) for _ in range(2))
                x, y = (size * v for v in draws)
                outs = [self._apply(v, None, self.own_weight).double() for v in (x, y, x + y)]
                apart, whole = (outs[2] - outs[0] - outs[1]).norm(), sum(out.norm() for out in outs)
                return bool(apart <= 64 * eps * whole)

            # sizes around that of the input reveal operators that clamp, or that round small numbers to zero
            self.is_linear = all(adds_up(largest * factor) for factor in (0.01, 1.0, 100.0))
        return self.is_linear

    def without_batch(self, a: Tensor) -> bool:
        """Whether ``a`` is one example without a batch axis, as torch's convolutions take it (axis 0 is channels)."""
        return not isinstance(self.module, nn.Linear) and a.ndim == self.own_weight.ndim - 1

    def macs(self, output: Tensor) -> int:
        """MACs of one call with this output, for the whole batch."""
        if output.shape not in self._macs:  # kept, because they are needed at every call
            shape = tuple(output.shape)
            if isinstance(self.module, nn.Linear):
                self._macs[output.shape] = cost.linear_macs(shape, self.module.in_features)
            else:
                self._macs[output.shape] = cost.conv_macs(shape, tuple(self.module.weight.shape))  # type: ignore[arg-type]
        return self._macs[output.shape]


def occurrence_name(name: str, occurrence: int) -> str:
    """The name of an occurrence within one model call: "name", then "name#1", "name#2", ..."""
    return name if occurrence == 0 else f"{name}#{occurrence}"


def finite(x: Tensor) -> bool:
    """Whether a tensor, or a number, is finite everywhere (one synchronisation)."""
    return bool(torch.isfinite(torch.as_tensor(x)).all())


def refuse_wrapped(arguments: Mapping[str, Any]) -> None:
    """Raise TypeError for tensors without values: nested ones, and those of transformed functions."""
    for x in pytree.tree_leaves(dict(arguments)):
        if not isinstance(x, Tensor):
            continue
        if x.is_nested:
            raise TypeError("nested tensors have no common shape to take scales of: pad them, and pass a mask")
        if torch._C._functorch.is_functorch_wrapped_tensor(x):
            raise TypeError(
                "inside torch.func (vmap, grad, jvp) a tensor has no values to take scales of: call it outside"
            )
    if torch.jit._trace.is_tracing():
        raise TypeError("a trace would hold the numbers of this one call: trace the model outside of the context")
