"""Branches whose output is used again (DeepCache, Ma et al. 2024), which is the 0-bit step of a whole sub-network.

A branch is a recursion with 0 bits and a refresh: ô_t = ô_{t+1}, except at every ``every``-th call, which computes it.

    with modulated(model, activations=Identity(), recursion="direct", reuse=deepcache(model, every=3)) as run: ...
    with modulated(model, activations=AbsMax(4), reuse=deepcache(model, every=2)) as run: ...       # both at once

Layers inside a branch are not called on reuse calls; their own states and call indices do not advance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from ... import recursion as _recursion
from ..hooks.modules import check_module


@dataclass(frozen=True)
class Reuse:
    """Modules whose outputs are used again instead of being computed at every call.

    Parameters
    ----------
    modules : tuple of str
        Qualified names. No name may lie inside another.
    every : int, sequence of int or str
        As the ``refresh`` of ``modulated``: an int k (computed at every k-th call), or the call indices at which the
        outputs are computed. They are always computed at call 0.

    Raises
    ------
    ValueError
        For no names, and for names that are nested or given twice.

    Examples
    --------
    >>> from modiff_sim.nn import Reuse
    >>> Reuse(("mid_block", "up_blocks.0"), every=3)
    Reuse(modules=('mid_block', 'up_blocks.0'), every=3)
    """

    modules: tuple[str, ...]
    every: int | Sequence[int] | str

    def __post_init__(self) -> None:
        if isinstance(self.modules, str) or not self.modules:
            raise ValueError(f"Reuse needs the names of modules, such as ('mid_block',); got {self.modules!r}")
        object.__setattr__(self, "modules", tuple(self.modules))
        for name in self.modules:
            inside = [other for other in self.modules if other != name and other.startswith(name + ".")]
            if inside or self.modules.count(name) > 1:
                raise ValueError(f"Reuse: '{name}' is named twice or holds {inside}: name the outer module only")
        _recursion.refresh_calls(self.every)


def matching(model: nn.Module, *patterns: str, every: int | Sequence[int]) -> Reuse:
    """``Reuse`` of the outermost modules whose names match a pattern (``*``, ``?``, ``[...]``).

    ``matching(dit, "transformer_blocks.*.attn1", "transformer_blocks.*.ff", every=3)`` reuses the outputs of attention
    and feed-forward, for models that are not U-Nets. Raises ValueError for a pattern that matches no module.
    """
    check_module(model)
    names = [name for name, _ in model.named_modules() if name]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"no module of {type(model).__name__} is called like '{pattern}'")
    found = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    return Reuse(tuple(n for n in found if not any(n.startswith(f"{outer}.") for outer in found)), every)


def deepcache(model: nn.Module, depth: int = 1, every: int | Sequence[int] = 2, *, skips: int | None = None) -> Reuse:
    """The deep part of a diffusers U-Net, to be used again: on reuse calls only the shallow end is computed.

    Parameters
    ----------
    model : torch.nn.Module
        ``UNet2DModel``, ``UNet2DConditionModel`` or a model laid out like them: ``conv_in``, ``down_blocks``,
        ``mid_block``, ``up_blocks``, and a skip connection from ``conv_in`` and from every resnet and downsampler.
    depth : int, default 1
        How many down blocks, and as many up blocks, are computed at every call; 1 to the number of blocks - 1.
    every : int or sequence of int, default 2
        The deep part is computed at every so many-th call, or at these call indices; call 0 is always computed.
    skips : int, optional
        Finer, and instead of ``depth``: how many skip connections are computed at every call, counted from ``conv_in``;
        1 to their number - 1. With 1, only ``conv_in``, the very last resnet and what follows it are computed.

    Returns
    -------
    Reuse
        For ``modulated(reuse=...)``.

    Raises
    ------
    ValueError
        For another layout, depth or number of skips.
    TypeError
        For what is not a module.

    Notes
    -----
    The first resnet on the way up that reads a fresh skip connection gets the deep features of the last computed call,
    which is what Ma, Fang and Wang ("DeepCache", CVPR 2024) cache. The outputs of the other modules named here are kept
    as well, although no fresh module reads them, because a module has to return something.

    Examples
    --------
    >>> from modiff_sim.nn import architectures, deepcache
    >>> reuse = deepcache(architectures.build("digits"), every=3)
    >>> reuse.modules
    ('down_blocks.0.downsamplers.0', 'down_blocks.1', 'mid_block', 'up_blocks.0')
    """
    downs, ups = _blocks(model)
    units = [_units(f"down_blocks.{i}", block) for i, block in enumerate(downs)]
    total = sum(map(len, units))  # skip connections without that of conv_in
    if skips is None:
        if isinstance(depth, bool) or not isinstance(depth, int) or not 1 <= depth < len(downs):
            raise ValueError(f"deepcache: depth is 1 to {len(downs) - 1} for {len(downs)} down blocks, got {depth!r}")
        skips = 1 + sum(map(len, units[: depth - 1])) + len(downs[depth - 1].resnets)
    elif isinstance(skips, bool) or not isinstance(skips, int) or not 1 <= skips <= total:
        raise ValueError(f"deepcache: skips is 1 to {total} of {total + 1} connections, got {skips!r}")
    deep: list[str] = []
    made = 1
    for i, block in enumerate(units):
        stale = [name for j, unit in enumerate(block) if made + j >= skips for name in unit]
        deep += [f"down_blocks.{i}"] if made >= skips else stale
        made += len(block)
    deep += ["mid_block"] if getattr(model, "mid_block", None) is not None else []
    for i, block in enumerate(ups):
        read = [made - 1 - j for j in range(len(block.resnets))]  # which skip connection each resnet reads
        made -= len(read)
        if made >= skips:
            deep.append(f"up_blocks.{i}")
        else:
            deep += [n for j, k in enumerate(read) if k >= skips for n in _with_attention(f"up_blocks.{i}", block, j)]
    return Reuse(tuple(deep), every)


def _blocks(model: nn.Module) -> tuple[Any, Any]:
    """Down and up blocks of a U-Net laid out like those of diffusers. Raises TypeError or ValueError otherwise."""
    check_module(model)
    downs, ups = getattr(model, "down_blocks", ()), getattr(model, "up_blocks", ())
    known = all(hasattr(block, "resnets") and not hasattr(block, "skip_conv") for block in (*downs, *ups))
    # every skip connection is read once
    if not known or not downs or 1 + sum(len(_units("", b)) for b in downs) != sum(len(b.resnets) for b in ups):
        raise ValueError(
            f"{type(model).__name__} is not laid out like a diffusers U-Net (down_blocks and up_blocks of resnets, a "
            "skip connection from each): name the modules yourself, Reuse(('...',), every), or use matching()"
        )
    return downs, ups


def _with_attention(where: str, block: Any, j: int) -> list[str]:
    """Resnet j of a block and, where there is one, the attention behind it."""
    attentions = getattr(block, "attentions", None) or ()
    behind = j < len(attentions) and attentions[j] is not None
    return [f"{where}.resnets.{j}"] + [f"{where}.attentions.{j}"] * behind


def _units(where: str, block: Any) -> list[list[str]]:
    """The modules that make each skip connection of a down block: resnets with attention, then downsamplers."""
    lower = [f"{where}.downsamplers.{k}" for k in range(len(getattr(block, "downsamplers", None) or ()))]
    return [_with_attention(where, block, j) for j in range(len(block.resnets))] + [lower] * bool(lower)
