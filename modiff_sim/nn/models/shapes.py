"""What one model call computes, without computing it: shapes and MACs of layers and attention, on the meta device.

    with torch.device("meta"):
        model = UNet2DModel(...)                          # no weights are drawn
    found = model_shapes(model, torch.empty(1, 3, 32, 32), 0)
    found.macs, found.attention_macs, found.layers[0].input

Layers are those that ``modulated`` can change. A model with real weights is run through meta copies of its parameters
and is not changed. Matrix products outside the layers are told apart by what flows through them: into a softmax (q·k),
out of one (softmax·v), or weights alone.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from ... import cost
from ...cost import LayerShape, ModelShapes, ProductShape
from ..hooks.calls import Calls
from ..hooks.modes import On, inference
from ..hooks.modules import check_module
from ..hooks.patching import Hook
from ..hooks.undo import Context, Undo
from ..layers import find, kind, occurrence_name
from ..macs import CONVOLUTION, MATMUL, convolution_macs
from ..run.run import active_run

aten = torch.ops.aten
SOFTMAX = {aten._softmax, aten._safe_softmax, aten.softmax}


class _Watch(TorchDispatchMode):
    """Sees every elementary operation of the forward; keeps a label for each tensor, and the products."""

    def __init__(self, model: nn.Module, weights: list[Tensor]) -> None:
        super().__init__()
        self.inside: list[tuple[str, bool]] = []  # modules being called, innermost last; whether it is a layer
        self.products: list[ProductShape] = []
        self._from: WeakTensorKeyDictionary = WeakTensorKeyDictionary()  # "weight" | "softmax" | index of a product
        self.weights = weights

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        inputs = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        if self.inside and self.inside[-1][1]:
            return out  # within a layer, which is counted as a whole
        label: Any = None
        if packet in MATMUL:
            left, right = (args[i] for i in MATMUL[packet])
            label = self._product(left, right, tuple(out.shape), left.shape[-1])
        elif packet.__name__.startswith("_scaled_dot_product"):
            self._fused(*args[:3])
        elif packet in CONVOLUTION:
            self._add("weight", tuple(args[0].shape), tuple(args[1].shape), convolution_macs(args, out))
        elif packet in SOFTMAX:
            for x in inputs:
                self._into_softmax(x)
            label = "softmax"
        else:
            label = self._inherited(inputs, out)
        if label is not None:
            for x in tree_leaves(out):
                if isinstance(x, Tensor):
                    self._from[x] = label
        return out

    def _label(self, x: Tensor) -> Any:
        return "weight" if any(x is w for w in self.weights) else self._from.get(x)

    def _inherited(self, inputs: list[Tensor], out: Any) -> Any:
        """Casts, views, scaling and masks keep the label of what they are applied to."""
        labels = [self._label(x) for x in inputs]
        if labels and all(label == "weight" for label in labels):
            return "weight"
        if isinstance(out, Tensor):
            for x, label in zip(inputs, labels, strict=True):
                if label is not None and label != "weight" and x.numel() == out.numel():
                    return label
        return None

    def _product(self, left: Tensor, right: Tensor, output: tuple[int, ...], inner: int) -> int:
        labels = {self._label(left), self._label(right)}
        role = "weight" if "weight" in labels else "softmax_v" if "softmax" in labels else "other"
        self._add(role, tuple(left.shape), tuple(right.shape), cost.matmul_macs(output, inner))
        return len(self.products) - 1

    def _fused(self, q: Tensor, k: Tensor, v: Tensor) -> None:
        """softmax(q·k)·v in one kernel: q (..., heads, L, E), k (..., S, E), v (..., S, F)."""
        *batch, length, width = q.shape
        scores = (*batch, length, k.shape[-2])
        self._add("qk", tuple(q.shape), tuple(k.shape), cost.matmul_macs(scores, width))
        self._add("softmax_v", scores, tuple(v.shape), cost.matmul_macs((*batch, length, v.shape[-1]), k.shape[-2]))

    def _into_softmax(self, x: Tensor) -> None:
        index = self._label(x)
        if isinstance(index, int) and self.products[index].role == "other":
            p = self.products[index]
            self.products[index] = ProductShape(p.name, "qk", p.left, p.right, p.macs)

    def _add(self, role: str, left: tuple[int, ...], right: tuple[int, ...], macs: int) -> None:
        name = self.inside[-1][0] if self.inside else "(root)"
        self.products.append(ProductShape(name, role, left, right, macs))


def _followed(model: nn.Module, watch: _Watch) -> Context[list[LayerShape]]:
    """Hooks that tell ``watch``, which is on, what module is being called, and collect the shapes of the layers."""
    layers: list[LayerShape] = []
    inputs: list[tuple[Tensor, str]] = []  # kept alive, because an id is used again once its tensor is gone
    calls = Calls(model)
    chosen = find(model, None)

    def enter(name: str, is_layer: bool, *_: Any) -> None:
        watch.inside.append((name, is_layer))

    def leave(*_: Any) -> None:
        watch.inside.pop()

    def layer(name: str, module: Any, args: Any, named: Any, output: Tensor) -> None:
        a = args[0] if args else named["input"]
        full = occurrence_name(name, calls.take(name))
        same = next((earlier for x, earlier in inputs if x is a), "")
        if not same:
            inputs.append((a, full))
        weight, out = tuple(module.weight.shape), tuple(output.shape)
        is_linear = isinstance(module, nn.Linear)
        macs = cost.linear_macs(out, weight[1]) if is_linear else cost.conv_macs(out, weight)
        layers.append(LayerShape(full, str(kind(module)), tuple(a.shape), out, weight, macs, same))

    def follow(undo: Undo) -> list[LayerShape]:
        undo.put(calls)
        for name, module in model.named_modules():
            undo.put(Hook.of(module, enter, name or "(root)", bool(kind(module))))
            undo.put(Hook.of(module, leave, after=True, always=True))
        for name, module in chosen.items():
            undo.put(Hook.of(module, layer, name, after=True))
        undo.put(On(watch))
        return layers

    return Context(follow)


def model_shapes(model: nn.Module, *inputs: Any, real: bool = False, **named: Any) -> ModelShapes:
    """Shapes and MACs of ``model(*inputs, **named)``, which is not computed.

    Tensors among the inputs are replaced by meta tensors of their shape and dtype.

    Parameters
    ----------
    model : torch.nn.Module
        The model; it is not changed, and needs no weights.
    *inputs
        Positional arguments of the model.
    real : bool, default False
        Run the model as it is, for models whose forward looks at values or holds tensors that are neither parameters
        nor buffers.
    **named
        Arguments of the model by keyword.

    Returns
    -------
    ModelShapes
        Layers, products of two activations, and the number of parameters.

    Raises
    ------
    TypeError
        For what is not a module.
    RuntimeError
        For a model that is modulated, or that cannot be run on the meta device.

    Examples
    --------
    >>> import torch
    >>> from modiff_sim.nn import model_shapes
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.SiLU())
    >>> found = model_shapes(model, torch.empty(1, 3, 16, 16))
    >>> found.parameters, found.macs, found.layers[0].output
    (224, 55296, (1, 8, 16, 16))
    """
    refuse_modulated(model)
    hint = "pass real=True to run it for real, or inputs that fit"
    weights: list[Tensor]
    call: Callable[[], object]
    if real:
        weights, call = list(model.parameters()), partial(model, *inputs, **named)
    else:
        weights, call = on_meta(model, inputs, named, hint)
    watch = _Watch(model, weights)
    # in inference mode matmul and linear would arrive here in one piece
    with inference(False), _followed(model, watch) as layers:
        call()
    parameters = sum(math.prod(p.shape) for p in model.parameters())
    return ModelShapes(tuple(layers), tuple(watch.products), parameters)


def refuse_modulated(model: Any) -> None:
    """Raise TypeError for what is not a module, and RuntimeError for a model that is modulated."""
    check_module(model)
    if (owner := active_run(model)) is not None:
        raise RuntimeError(f"the model is modulated (by {owner}): take its shapes outside of that context")


def on_meta(
    model: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any], hint: str
) -> tuple[list[Tensor], Callable[[], None]]:
    """Meta copies of the model's parameters, and a function that calls the model once with all on the meta device.

    That call leaves the model as it was. Where it fails, it raises RuntimeError with a message that ends with ``hint``.
    """
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    state = {name: t.detach().to("meta") for name, t in tensors.items()}
    arguments = tree_map(lambda x: x.to("meta") if isinstance(x, Tensor) else x, (inputs, dict(named)))

    def call() -> None:
        try:
            with _put_back(model):
                torch.func.functional_call(model, state, *arguments)
        except Exception as error:
            raise RuntimeError(f"{type(model).__name__} does not run on the meta device ({error}): {hint}") from error

    return [state[name] for name, _ in model.named_parameters()], call


def _put_back(model: nn.Module) -> Context[None]:
    """A context that restores all attributes of the model's modules, and the content of lists and dicts among them.

    Hooks of weight norm, spectral norm and pruning write the weight that they make into an attribute that is not a
    parameter, models keep tables that they computed, and an interrupt may keep torch from restoring the parameters.
    """
    modules = [(vars(module), dict(vars(module))) for module in model.modules()]
    values = [value for _, before in modules for value in before.values()]
    dicts = [(value, dict(value)) for value in values if type(value) in (dict, OrderedDict)]
    lists = [(value, list(value)) for value in values if type(value) is list]

    def put_back() -> None:
        for now, entries in (*modules, *dicts):
            if now.keys() != entries.keys() or any(now[key] is not value for key, value in entries.items()):
                now.clear()
                now.update(entries)
        for items, earlier in lists:
            items[:] = earlier

    return Context(lambda undo: undo.note(put_back))


def layer_shapes(model: nn.Module, *inputs: Any, **named: Any) -> tuple[LayerShape, ...]:
    """The layers of ``model_shapes``, one row per call of a layer.

    Parameters
    ----------
    model : torch.nn.Module
        The model; it is not changed, and needs no weights.
    *inputs
        Positional arguments of the model.
    **named
        Arguments of the model by keyword.

    Returns
    -------
    tuple of LayerShape
        In the order of the calls.

    Raises
    ------
    TypeError, RuntimeError
        As ``model_shapes``.

    Examples
    --------
    >>> import torch
    >>> from modiff_sim.nn import layer_shapes
    >>> (layer,) = layer_shapes(torch.nn.Sequential(torch.nn.Linear(8, 4)), torch.empty(2, 8))
    >>> layer.name, layer.kind, layer.weight, layer.macs
    ('0', 'Linear', (4, 8), 64)
    """
    return model_shapes(model, *inputs, **named).layers
