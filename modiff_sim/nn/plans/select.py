"""Selections of layers: predicates for ``where=``, and plans that give some layers other quantizers.

    modulated(unet, activations=Q, where=except_(first_layer(unet), last_layer(unet), time_embedding(unet)))
    modulated(unet, activations=with_layers(unet, AbsMax(4), (first_layer(unet), AbsMax(8)), ("*.attentions.*", Q6)))

A predicate is any function (qualified name, module) -> bool. Wherever a predicate is taken, a string is taken as well:
a pattern of qualified names (``*``, ``?``, ``[...]``), as in ``plan.ByLayer``. Mappings from layers to quantizers that
are given to ``modulated`` take predicates as keys (``by_name``).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from ...quantizers.base import Quantizer
from ..layers import Chosen, What, Where, find, several
from .paths import Ran, named_as_time
from .plan import ByLayer, Plan


def first_layer(model: nn.Module, x: Tensor | None = None, t: int = 500, **conditions: Any) -> Where:
    """The layer that reads the model's input: ``conv_in`` of a U-Net, the patch embedding of a DiT.

    Without an example, nothing is run: it is the first Conv1d, Conv2d or Linear in module order that is not named as
    one of the timestep (``nn.plans.paths``) and, in a model with convolutions, no Linear ahead of the first of them.
    With an example input it is the first layer, in the order of the calls, whose input changes with x.

    Parameters
    ----------
    model : torch.nn.Module
        The model whose layers are looked at.
    x : torch.Tensor, optional
        An example of the model's input, (n, ...): the model, in eval mode, is run on it three times.
    t : int, default 500
        The timestep of the example.
    **conditions
        Further arguments of the model in the example.

    Returns
    -------
    callable
        (qualified name, module) -> bool. Its text names the layer.

    Warns
    -----
    UserWarning
        Without an example, where Linear layers that are not known by name lie ahead of the first convolution.

    Raises
    ------
    ValueError
        For a model without a Conv1d, Conv2d or Linear layer besides those of the timestep.

    Examples
    --------
    >>> import torch
    >>> from modiff_sim.nn import first_layer, zoo
    >>> unet = zoo.load("digits")
    >>> first_layer(unet), first_layer(unet, torch.zeros(1, 1, 8, 8))
    (layers: conv_in, layers: conv_in)
    """
    return _exactly(_first(model) if x is None else _ran(model, x, t, conditions).image[0])


def last_layer(model: nn.Module, x: Tensor | None = None, t: int = 500, **conditions: Any) -> Where:
    """The layer that gives the model's output.

    Without an example, it is the last in module order that is not named as one of the timestep. With an example input,
    it is the last layer that is called, of those whose input changes with x.

    Parameters
    ----------
    model, x, t, **conditions
        The model, and an example call of it, as of ``first_layer``.

    Returns
    -------
    callable
        (qualified name, module) -> bool. Its text names the layer.

    Examples
    --------
    >>> from modiff_sim.nn import architectures, last_layer
    >>> last_layer(architectures.build("digits"))
    layers: conv_out
    """
    return _exactly(list(_in_order(model))[-1] if x is None else _ran(model, x, t, conditions).image[-1])


def time_embedding(model: nn.Module, x: Tensor | None = None, t: int = 500, **conditions: Any) -> Where:
    """The layers that see the timestep and no image: the embedding's MLP and its projections in each block.

    Without an example, they are those whose name, or that of a module around them, is one that layers of the timestep
    or of the class have in other people's code (``TIME_NAME`` of ``nn.plans.paths``: time_embedding, temb, time_mlp,
    t_embedder, ...), or whose class is. With an example input they are found whatever they are called; layers that see
    nothing but a class or a text are not among them then.

    Parameters
    ----------
    model, x, t, **conditions
        The model, and an example call of it, as of ``first_layer``.

    Returns
    -------
    callable
        (qualified name, module) -> bool. Its text names the layers.

    Warns
    -----
    UserWarning
        Where no layer is known by name, so that ``except_(time_embedding(model))`` would leave out nothing.

    Examples
    --------
    >>> import torch
    >>> from modiff_sim.nn import time_embedding
    >>> class Net(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.conv, self.mine = torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Linear(1, 4)
    ...     def forward(self, x, t):
    ...         return (self.conv(x) + self.mine(t[:, None] / 1000)[..., None, None]).mean(1, keepdim=True)
    >>> time_embedding(Net().eval(), torch.zeros(1, 1, 8, 8))
    layers: mine
    """
    if x is not None:
        return _among(_ran(model, x, t, conditions).time)
    if not (found := named_as_time(model)):
        warnings.warn(
            f"no layer of {type(model).__name__} is known by its name as one of the timestep, so time_embedding keeps "
            "none: give an example input, time_embedding(model, x), or a pattern of names in its place",
            stacklevel=2,
        )
    return _among(found)


def only(*what: What, model: nn.Module | None = None) -> Where:
    """Layers that at least one of these keeps.

    With ``model``, ValueError is raised for a pattern that matches none of its layers.
    """
    kept = [_predicate(w, model) for w in _some(what)]
    return lambda name, module: any(keep(name, module) for keep in kept)


def except_(*what: What, model: nn.Module | None = None) -> Where:
    """Layers that none of these keeps.

    Parameters
    ----------
    *what : str or callable
        Patterns of qualified names, or predicates (qualified name, module) -> bool; at least one.
    model : torch.nn.Module, optional
        The model that the patterns are checked against.

    Returns
    -------
    callable
        (qualified name, module) -> bool.

    Raises
    ------
    ValueError
        For no pattern or predicate and, with ``model``, for a pattern that matches none of its layers.
    TypeError
        For what is neither a pattern nor a function.

    Examples
    --------
    >>> from modiff_sim.nn import except_
    >>> where = except_("conv_in", "time_embedding.*")
    >>> [where(name, None) for name in ("conv_in", "time_embedding.linear_1", "conv_out")]
    [False, False, True]
    """
    left_out = only(*what, model=model)
    return lambda name, module: not left_out(name, module)


def both(*what: What, model: nn.Module | None = None) -> Where:
    """Layers that all of these keep."""
    kept = [_predicate(w, model) for w in _some(what)]
    return lambda name, module: all(keep(name, module) for keep in kept)


def selected(model: nn.Module, where: Chosen) -> list[str]:
    """Qualified names of the supported layers that are chosen, in module order."""
    return list(find(model, where))


def with_layers(model: nn.Module, default: Quantizer | Plan, *others: tuple[What, Quantizer | Plan]) -> ByLayer:
    """A plan in which some layers get another quantizer than the default.

    Parameters
    ----------
    model : torch.nn.Module
        The model whose layers are looked at.
    default : Quantizer or Plan
        For the layers that no entry of ``others`` keeps.
    *others : tuple of (str or callable, Quantizer or Plan)
        (predicate or pattern, quantizer or plan); the first entry that keeps a layer decides.

    Returns
    -------
    ByLayer
        The plan, by name.

    Raises
    ------
    ValueError
        For an entry that keeps no layer of the model, which would silently change nothing.

    Examples
    --------
    >>> import torch
    >>> import modiff_sim as ms
    >>> from modiff_sim.nn import first_layer, with_layers
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.SiLU(), torch.nn.Linear(8, 4))
    >>> plan = with_layers(model, ms.AbsMax(4), (first_layer(model), ms.AbsMax(8)))
    >>> [plan.quantizer(name, call=0).bits for name in ("0", "2")]
    [8, 4]
    """
    layers: dict[str, Quantizer | Plan] = {}
    for what, chosen in others:
        names = selected(model, _predicate(what, model))
        if not names:
            raise ValueError(f"with_layers: {what!r} keeps no layer of {type(model).__name__}")
        for name in names:
            layers.setdefault(name, chosen)
    return ByLayer(layers, default)


def by_name(model: nn.Module, chosen: Any, what: str = "activations") -> Any:
    """A mapping in which predicates, such as ``first_layer(model)``, are replaced by the names of their layers.

    What is no mapping is returned as it is.

    Parameters
    ----------
    model : torch.nn.Module
        The model whose layers are looked at.
    chosen : mapping or object
        From names, patterns and predicates to anything; mappings in it are looked into.
    what : str, default "activations"
        What it is for, for the message.

    Raises
    ------
    ValueError
        For a predicate that keeps no layer, or none that an earlier key has not named.

    Examples
    --------
    >>> from modiff_sim.nn import architectures, first_layer
    >>> from modiff_sim.nn.plans.select import by_name
    >>> unet = architectures.build("digits")
    >>> by_name(unet, {first_layer(unet): "absmax:8", "*": "absmax:4"})
    {'conv_in': 'absmax:8', '*': 'absmax:4'}
    """
    if not isinstance(chosen, Mapping) or not isinstance(model, nn.Module):
        return chosen
    found: dict[Any, Any] = {}
    for key, value in chosen.items():
        names = selected(model, key) if callable(key) else [key]
        new = [name for name in names if name not in found]
        if not new:
            why = "keeps layers that keys before it name already" if names else "keeps no layer"
            raise ValueError(f"{what}: a predicate {why} of {type(model).__name__}")
        found |= dict.fromkeys(new, by_name(model, value, what))
    return found


# -- inside ----------------------------------------------------------------------------------------------------------


def _some(what: tuple[What, ...]) -> tuple[What, ...]:
    if not what:
        raise ValueError("name at least one pattern or predicate, such as 'conv_in' or first_layer(model)")
    return what


def _predicate(what: What, model: nn.Module | None) -> Where:
    if callable(what):
        return what
    if model is not None and isinstance(what, str):
        return _among(find(model, what))
    several(what)
    return lambda name, module: fnmatchcase(name, what)


@dataclass(frozen=True, repr=False)
class _Among:
    """The predicate of layers that are known by name; it shows which."""

    names: tuple[str, ...]

    def __call__(self, name: str, module: nn.Module) -> bool:
        return name in self.names

    def __repr__(self) -> str:
        more = f" and {len(self.names) - 3} more" if len(self.names) > 3 else ""
        return f"layers: {', '.join(self.names[:3]) or 'none'}{more}"


def _among(names: Iterable[str]) -> Where:
    return _Among(tuple(names))


def _exactly(name: str) -> Where:
    return _among([name])


def _ran(model: nn.Module, x: Tensor, t: int, conditions: dict[str, Any]) -> Ran:
    ran = Ran(model, x, t, conditions)
    if not ran.image:
        raise ValueError(
            f"no Conv1d, Conv2d or Linear layer of {type(model).__name__} has an input that changes with x"
        )
    return ran


def _in_order(model: nn.Module) -> dict[str, nn.Module]:
    """The layers that names do not tell to be of the timestep, in module order."""
    time = set(named_as_time(model))
    layers = {name: module for name, module in find(model, None).items() if name not in time}
    if not layers:
        raise ValueError(f"{type(model).__name__} has no Conv1d, Conv2d or Linear layer besides its time embedding")
    return layers


def _first(model: nn.Module) -> str:
    layers = _in_order(model)
    first = next((name for name, module in layers.items() if not isinstance(module, nn.Linear)), next(iter(layers)))
    if passed := list(layers)[: list(layers).index(first)]:
        warnings.warn(
            f"first_layer takes {first!r}, the first convolution of {type(model).__name__}, and passes over "
            f"{', '.join(passed[:3])}{', ...' * (len(passed) > 3)}, which may see the timestep alone: "
            f"first_layer(model, x), with an example input, finds out; or name the layer itself, {first!r} or "
            f"{passed[0]!r}",
            stacklevel=3,
        )
    return first
