"""Tables as colours: layers by calls, or layers by layers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize

from . import style

NAMED = 30  # layers at most that have their names; beyond it, the blocks that they belong to have
COLOURS = "viridis"


def table(axes: Axes, values: np.ndarray, layers: Sequence[str], norm: Normalize | None = None) -> Any:
    """Draw values (layers, columns), the first layer at the top; NaN is grey. Returns what a colour bar is made of.

    Up to ``NAMED`` layers are named, and else their blocks, with a white line between two of them.
    """
    image = axes.pcolormesh(
        np.arange(values.shape[1] + 1) - 0.5,
        np.arange(len(layers) + 1),
        values,
        norm=norm,
        cmap=COLOURS,
        rasterized=True,
    )
    axes.set_facecolor(style.GRID)
    axes.grid(visible=False)
    if len(layers) > NAMED:
        blocks(axes, layers)
    else:
        axes.set_yticks(np.arange(len(layers)) + 0.5, list(layers))
        axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(layers), 0)
    return image


def logarithmic(values: np.ndarray, top: float | None = None) -> LogNorm | None:
    """Return a logarithmic scale of colours for the positive values, up to ``top``; None where there is none."""
    positive = values[np.isfinite(values) & (values > 0)]
    if not positive.size:
        return None
    low = float(np.quantile(positive, 0.02))
    high = float(positive.max()) if top is None else top
    return LogNorm(low, high if high > low else 2 * low)


def bar(image: Any, axes: Axes | Sequence[Axes], label: str, ticks: Sequence[float] = (), extend: str = "min") -> None:
    """Add a colour bar, with these ticks only if some are given; ``extend`` as matplotlib's."""
    figure: Any = axes.figure if isinstance(axes, Axes) else axes[0].figure
    where = axes if isinstance(axes, Axes) else list(axes)
    made = figure.colorbar(image, ax=where, label=label, pad=0.01, fraction=0.03, aspect=30, extend=extend)
    if ticks:
        made.set_ticks(ticks, labels=[f"{t:g}" for t in ticks], minor=False)
        made.minorticks_off()


def block(layer: str) -> str:
    """Return the part of a U-Net that a layer belongs to, judging by its name."""
    first, _, rest = layer.partition(".")
    names = {"conv_in": "input, time", "time_embedding": "input, time", "mid_block": "middle", "conv_out": "output"}
    if first in names:
        return names[first]
    return f"{first.removesuffix('_blocks')} {rest.partition('.')[0]}" if first.endswith("_blocks") else first


def blocks(axes: Axes, layers: Sequence[str]) -> None:
    """Draw a white line between the blocks, and the name of each block at its middle."""
    start, ticks, labels = 0, [], []
    for name, members in groupby(layers, block):
        count = len(list(members))
        ticks.append(start + count / 2)
        labels.append(name)
        start += count
        axes.axhline(start, color="white", lw=1)
    axes.set_yticks(ticks, labels)
    axes.tick_params(axis="y", length=0)
