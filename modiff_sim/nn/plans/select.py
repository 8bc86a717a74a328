"""Selections of layers: predicates for ``where=``, and plans that give some layers other quantizers.

    modulated(unet, activations=Q, where=except_(first_layer(unet), last_layer(unet), time_embedding(unet)))
    modulated(unet, activations=with_layers(unet, AbsMax(4), (first_layer(unet), AbsMax(8)), ("*.attentions.*", Q6)))

A predicate is any function (qualified name, module) -> bool. Wherever a predicate is taken, a string is taken as well:
a pattern of qualified names (``*``, ``?``, ``[...]``), as in ``plan.ByLayer``. Mappings from layers to quantizers that
are given to ``modulated`` take predicates as keys (``by_name``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from ...quantizers.base import Quantizer
from ..layers import Chosen, What, Where, find, several
from .plan import ByLayer, Plan

#: names of the layers that depend on the timestep (and class) alone: those of the embedding, and those that read it in
#: every block. In order: diffusers' U-Nets, diffusers' DiT, the original DDPM code, LDM, the original DiT code.
TIME_PATTERNS = (
    "time_embedding.*", "class_embedding.*", "add_embedding.*", "time_proj.*", "*.time_emb_proj",
    "*.timestep_embedder.*", "adaln_single.*", "proj_out_1",
    "temb.*", "*.temb_proj",
    "time_embed.*", "*.emb_layers.*",
    "t_embedder.*", "*.adaLN_modulation.*", "time_text_embed.*",
)  # fmt: skip
#: parts of the class names of modules whose own linear layers read the time embedding: adaptive norms and the
#: embedding's MLP
TIME_CLASSES = ("TimestepEmbedding", "AdaLayerNorm", "AdaGroupNorm")


def first_layer(model: nn.Module) -> Where:
    """The layer that reads the model's input: ``conv_in`` of a U-Net, the patch embedding of a DiT.

    It is the first Conv1d, Conv2d or Linear in module order that does not belong to the time embedding. (The order of
    calls would give the time embedding, which nearly all models compute first.) A model that registers its modules in
    another order needs a name instead: ``only("stem.conv")``.

    Parameters
    ----------
    model : torch.nn.Module
        The model whose layers are looked at; nothing is run.

    Returns
    -------
    callable
        (qualified name, module) -> bool.

    Raises
    ------
    ValueError
        For a model without a Conv1d, Conv2d or Linear layer besides its time embedding.

    Examples
    --------
    >>> from modiff_sim.nn import architectures, first_layer
    >>> from modiff_sim.nn.plans.select import selected
    >>> unet = architectures.build("digits")
    >>> selected(unet, first_layer(unet))
    ['conv_in']
    """
    return _exactly(_in_order(model)[0])


def last_layer(model: nn.Module) -> Where:
    """The layer that gives the model's output: the last in module order that does not belong to the time embedding.

    Parameters
    ----------
    model : torch.nn.Module
        The model whose layers are looked at; nothing is run.

    Returns
    -------
    callable
        (qualified name, module) -> bool.

    Raises
    ------
    ValueError
        For a model without a Conv1d, Conv2d or Linear layer besides its time embedding.

    Examples
    --------
    >>> from modiff_sim.nn import architectures, last_layer
    >>> from modiff_sim.nn.plans.select import selected
    >>> unet = architectures.build("digits")
    >>> selected(unet, last_layer(unet))
    ['conv_out']
    """
    return _exactly(_in_order(model)[-1])


def time_embedding(model: nn.Module) -> Where:
    """The layers that depend on the timestep (and class) alone: the embedding's MLP and its projections in each block.

    They are found by name (``TIME_PATTERNS``) or by the class of a module around them (``TIME_CLASSES``). For a model
    without such layers the predicate keeps nothing.

    Parameters
    ----------
    model : torch.nn.Module
        The model whose layers are looked at; nothing is run.

    Returns
    -------
    callable
        (qualified name, module) -> bool.

    Examples
    --------
    >>> from modiff_sim.nn import architectures, time_embedding
    >>> from modiff_sim.nn.plans.select import selected
    >>> unet = architectures.build("digits")
    >>> selected(unet, time_embedding(unet))[:2]
    ['time_embedding.linear_1', 'time_embedding.linear_2']
    """
    return _among(_time_layers(model))


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


def _in_order(model: nn.Module) -> list[str]:
    time = set(_time_layers(model))
    names = [name for name in find(model, None) if name not in time]
    if not names:
        raise ValueError(f"{type(model).__name__} has no Conv1d, Conv2d or Linear layer besides its time embedding")
    return names


def _time_layers(model: nn.Module) -> list[str]:
    around = [
        name
        for name, module in model.named_modules()
        if name and any(known in kind.__name__ for kind in type(module).__mro__ for known in TIME_CLASSES)
    ]
    inside: Callable[[str], bool] = lambda name: any(name.startswith(f"{prefix}.") for prefix in around)  # noqa: E731
    return [name for name in find(model, None) if any(fnmatchcase(name, p) for p in TIME_PATTERNS) or inside(name)]
