"""Which layers: predicates for ``where=``, and plans that give some layers other quantizers.

    modulated(unet, activations=Q, where=except_(first_layer(unet), last_layer(unet), time_embedding(unet)))
    modulated(unet, activations=with_layers(unet, AbsMax(4), (first_layer(unet), AbsMax(8)), ("*.attentions.*", Q6)))

A predicate is any function (qualified name, module) -> bool. Wherever one is taken, a string is taken, too: a pattern
of qualified names (``*``, ``?``, ``[...]``), as in ``plan.ByLayer``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from torch import nn

from ...quantizers.base import Quantizer
from ..layers import Where, find
from .plan import ByLayer, Plan

What = str | Where

#: names of what depends on the time step (and class) alone: the embedding's own layers and those that read it in every
#: block. In order: diffusers' U-Nets, diffusers' DiT, the original DDPM code, LDM, the original DiT code.
TIME_PATTERNS = (
    "time_embedding.*", "class_embedding.*", "add_embedding.*", "time_proj.*", "*.time_emb_proj",
    "*.timestep_embedder.*", "adaln_single.*", "proj_out_1",
    "temb.*", "*.temb_proj",
    "time_embed.*", "*.emb_layers.*",
    "t_embedder.*", "*.adaLN_modulation.*", "time_text_embed.*",
)  # fmt: skip
#: modules whose own linear layers read the time embedding: adaptive norms and the embedding's MLP, by a part
#: of the class name
TIME_CLASSES = ("TimestepEmbedding", "AdaLayerNorm", "AdaGroupNorm")


def first_layer(model: nn.Module) -> Where:
    """The layer that reads the model's input: ``conv_in`` of a U-Net, the patch embedding of a DiT.

    Found as the first Conv1d, Conv2d or Linear in module order that is no time-embedding layer. (Call order would give
    the time embedding, which nearly all models compute first.) A model that registers its modules in another order
    needs a name instead: ``only("stem.conv")``.
    """
    return _exactly(_in_order(model)[0])


def last_layer(model: nn.Module) -> Where:
    """The layer that gives the model's output: the last in module order that is no time-embedding layer."""
    return _exactly(_in_order(model)[-1])


def time_embedding(model: nn.Module) -> Where:
    """The layers that depend on the time step (and class) alone: the embedding's MLP, its projections in every block.

    By name (``TIME_PATTERNS``) or by the class of a module around them (``TIME_CLASSES``). The predicate keeps nothing
    for a model without any.
    """
    return _among(_time_layers(model))


def only(*what: What, model: nn.Module | None = None) -> Where:
    """Layers that any of these keeps. With ``model``, ValueError for a pattern that fits none of its layers."""
    kept = [_predicate(w, model) for w in _some(what)]
    return lambda name, module: any(keep(name, module) for keep in kept)


def except_(*what: What, model: nn.Module | None = None) -> Where:
    """Layers that none of these keeps. With ``model``, ValueError for a pattern that fits none of its layers."""
    left_out = only(*what, model=model)
    return lambda name, module: not left_out(name, module)


def both(*what: What, model: nn.Module | None = None) -> Where:
    """Layers that all of these keep."""
    kept = [_predicate(w, model) for w in _some(what)]
    return lambda name, module: all(keep(name, module) for keep in kept)


def selected(model: nn.Module, where: What | None) -> list[str]:
    """Qualified names of the supported layers that a predicate keeps, in module order: to see what one does."""
    return list(find(model, None if where is None else _predicate(where, None)))


def with_layers(model: nn.Module, default: Quantizer | Plan, *others: tuple[What, Quantizer | Plan]) -> ByLayer:
    """A plan: the first of ``others``, (predicate or pattern, quantizer or plan), that keeps a layer decides, else the
    default. ValueError for an entry that keeps no layer of the model, which would silently change nothing."""
    layers: dict[str, Quantizer | Plan] = {}
    for what, chosen in others:
        names = selected(model, _predicate(what, model))
        if not names:
            raise ValueError(f"with_layers: {what!r} keeps no layer of {type(model).__name__}")
        for name in names:
            layers.setdefault(name, chosen)
    return ByLayer(layers, default)


# -- inside ----------------------------------------------------------------------------------------------------------


def _some(what: tuple[What, ...]) -> tuple[What, ...]:
    if not what:
        raise ValueError("name at least one pattern or predicate, such as 'conv_in' or first_layer(model)")
    return what


def _predicate(what: What, model: nn.Module | None) -> Where:
    if not isinstance(what, str):
        if not callable(what):
            raise TypeError(
                f"a layer is chosen by a pattern of names or a function (name, module) -> bool, got {what!r}"
            )
        return what
    if model is not None and not any(fnmatchcase(name, what) for name in find(model, None)):
        known = list(find(model, None))
        raise ValueError(
            f"the pattern {what!r} fits none of the {len(known)} layers of {type(model).__name__}, such as {known[0]!r}"
        )
    return lambda name, module: fnmatchcase(name, what)


def _among(names: Iterable[str]) -> Where:
    kept = frozenset(names)
    return lambda name, module: name in kept


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
        name for name, module in model.named_modules()
        if name and any(known in kind.__name__ for kind in type(module).__mro__ for known in TIME_CLASSES)
    ]  # fmt: skip
    inside: Callable[[str], bool] = lambda name: any(name.startswith(f"{prefix}.") for prefix in around)  # noqa: E731
    return [name for name in find(model, None) if any(fnmatchcase(name, p) for p in TIME_PATTERNS) or inside(name)]
