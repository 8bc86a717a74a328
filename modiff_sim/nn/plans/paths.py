"""Which layers read the image, and which see the timestep alone: found by running a model, or told by their names.

What is told by names is a guess: a layer of the timestep may be called anything. ``Ran`` is what an example call shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..hooks.calling import caller
from ..hooks.modes import inference
from ..hooks.modules import check_module
from ..hooks.patching import Hook
from ..hooks.undo import Context, Undo
from ..layers import find

#: names of modules of the timestep (and class), in small letters and without underscores: what it is of, what it is.
#: Those of diffusers, the original DDPM, DiT and LDM code, CSDI, and what people call theirs.
TIME_NAME = re.compile(
    r"(time|timestep|timesteps|temb|t|step|diffusion|diffusionstep|noiselevel|sigma|class|cls|label)"
    r"(emb|embed|embedding|embedder|mlp|proj|projection|dense|fc|lin|linear|affine|film|cond)+s?(layers?)?\d*"
    r"|temb\d*|timetextembed|addembedding|adalnsingle|adalnmodulation|emblayers?"
)
#: names that are those of the timestep where they are of a linear layer in a model of convolutions
LIKELY_NAME = re.compile(r"emb(ed|edding|edder)?(proj|projection|dense|fc|lin|linear|mlp)?\d*")
#: whole names of layers of the timestep: of diffusers' DiT
TIME_LAYERS = ("proj_out_1",)
#: parts of the class names of modules whose own linear layers read the time embedding: adaptive norms and the
#: embedding's MLP
TIME_CLASSES = (
    "TimestepEmbedding", "TimestepEmbedder", "TimeEmbedding", "TimeEmbedder", "AdaLayerNorm", "AdaGroupNorm",
)  # fmt: skip


def named_as_time(model: nn.Module) -> list[str]:
    """The layers that are told to be of the timestep by their name, or by the name or class of a module around them."""
    layers = find(model, None)
    likely = any(not isinstance(module, nn.Linear) for module in layers.values())
    around = [
        f"{name}."
        for name, module in model.named_modules()
        if name and any(known in kind.__name__ for kind in type(module).__mro__ for known in TIME_CLASSES)
    ]

    def told(name: str, module: nn.Module) -> bool:
        parts = [part.lower().replace("_", "") for part in name.split(".")]
        if any(map(TIME_NAME.fullmatch, parts)) or name.startswith(tuple(around)):
            return True
        if likely and isinstance(module, nn.Linear) and any(map(LIKELY_NAME.fullmatch, parts)):
            return True
        return any(fnmatchcase(name, known) for known in TIME_LAYERS)

    return [name for name, module in layers.items() if told(name, module)]


class Ran:
    """What an example call of a model shows: the layers in the order of their calls, and what reaches each of them.

    The model is called three times: as given, with another image, and at another timestep. A layer sees the image, or
    the timestep, where its input changes with it.

    Parameters
    ----------
    model : torch.nn.Module
        The model, in eval mode.
    x : torch.Tensor
        An input, floating, (n, ...).
    t : int
        A timestep.
    conditions : mapping of str to object
        Further arguments of the model.

    Attributes
    ----------
    image : list of str
        The layers that see the image.
    time : list of str
        The layers that see the timestep and not the image.

    Raises
    ------
    TypeError
        For an x that is no floating tensor.
    ValueError
        For a model in training mode or on the meta device, and as ``nn.hooks.calling.caller``.

    Examples
    --------
    >>> import torch
    >>> from modiff_sim.nn import zoo
    >>> from modiff_sim.nn.plans.paths import Ran
    >>> ran = Ran(zoo.load("digits"), torch.zeros(1, 1, 8, 8), 500, {})
    >>> ran.image[0], ran.image[-1], ran.time[0]
    ('conv_in', 'conv_out', 'time_embedding.linear_1')
    """

    def __init__(self, model: nn.Module, x: Tensor, t: int, conditions: Mapping[str, Any]) -> None:
        check_module(model)
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise TypeError(f"x is an example of the model's input, a floating tensor (n, ...), got {x!r:.60}")
        if model.training:
            raise ValueError(
                "the model is in training mode (dropout would differ from call to call): call model.eval()"
            )
        if x.is_meta or all(p.is_meta for p in model.parameters()):
            raise ValueError(
                f"{type(model).__name__} is on the meta device, which holds no values: load its weights first"
            )
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).to(x.device, x.dtype)
        later = t // 2 if t > 1 else t + 1
        call = partial(caller(model, conditions), **conditions)
        usual = dict(_inputs(model, partial(call, x, t)))
        image, time = (
            {name for name, a in _inputs(model, again) if _differ(usual.get(name), a)}
            for again in (partial(call, x + noise, t), partial(call, x, later))
        )
        order = list(dict.fromkeys(name for name, _ in usual))
        seen = {name for name, _ in image}
        self.image = [name for name in order if name in seen]
        self.time = [name for name in order if name not in seen and name in {each for each, _ in time}]


def _inputs(model: nn.Module, call: Any) -> Iterator[tuple[tuple[str, int], Tensor]]:
    """The inputs of the layers in one call, in order, by the layer's name and how often it was called before."""
    found: dict[tuple[str, int], Tensor] = {}
    counted: dict[str, int] = {}

    def look(name: str, _: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        counted[name] = times = counted.get(name, -1) + 1
        found[name, times] = (inputs[0] if inputs else named["input"]).detach().clone()

    def enter(undo: Undo) -> None:
        for name, module in find(model, None).items():
            undo.put(Hook.of(module, look, name))

    with inference(), Context(enter):
        call()
    return iter(found.items())


def _differ(one: Tensor | None, other: Tensor) -> bool:
    """Whether two inputs differ by more than rounding."""
    if one is None or one.shape != other.shape:
        return True
    wide = one.double()
    apart, largest = (wide - other.double()).abs(), wide.abs()
    return bool(apart.numel() and apart.max() > 64 * torch.finfo(one.dtype).eps * largest.max())
