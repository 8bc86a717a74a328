"""Measured c and kappa, per layer and step, of what the three recursions quantize."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

import modiff_sim as ms
from analysis.experiments import digits
from modiff_sim.plot import style

from .practice import STAND_IN, params

TITLE = "Contraction per layer and step"
CAPTION = (
    "Contraction of absmax at 3 bits measured in every linear layer of the full-precision model, medians over images: "
    "c (squared 2-norm, upper row) and κ as a share of its declared worst case 1/(2·qmax) (max norm, lower row), of "
    "the input, of its temporal difference and of the closed loop's residual. Layers in the order of execution, steps "
    "in sampling order. Lighter is a larger error; grey, nothing was quantized. " + STAND_IN
)
PARAMS = params()


def data(effort: str) -> dict[str, np.ndarray]:
    """Return "layers", "steps", "bits", and c_q and kappa_q (layer, step) for q in a, d, r."""
    found = digits.distributions(effort)
    keys = ("layers", "steps", "bits", *(f"{norm}_{q}" for norm in ("c", "kappa") for q in "adr"))
    return {k: found[k] for k in keys}


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw c and kappa of every layer and step."""
    layers = [str(n) for n in data["layers"]]
    figure, axes = style.grid(2, 3, height=8.0, sharex=True, sharey=True)
    declared = ms.AbsMax(int(data["bits"])).kappa(2)
    c = [np.where(data[f"c_{q}"] > 0, data[f"c_{q}"], np.nan) for q in "adr"]
    kappa = [np.where(data[f"kappa_{q}"] > 0, data[f"kappa_{q}"], np.nan) / declared for q in "adr"]
    finite = np.concatenate([table[np.isfinite(table)] for table in c])
    rows = (
        (c, LogNorm(float(np.quantile(finite, 0.02)), 1), "c, squared 2-norm"),
        (kappa, Normalize(0.7, 1), "κ / declared κ, max norm"),
    )
    for row, (tables, norm, label) in enumerate(rows):
        for panel, table in zip(axes[row], tables, strict=True):
            image = panel.pcolormesh(
                np.arange(table.shape[1] + 1) - 0.5,
                np.arange(len(layers) + 1),
                table,
                norm=norm,
                cmap="viridis",
                rasterized=True,
            )
            panel.set_facecolor(style.GRID)  # nothing was quantized there
            panel.grid(visible=False)
            _groups(panel, layers)
        bar = figure.colorbar(image, ax=list(axes[row]), label=label, pad=0.01, fraction=0.03, aspect=30, extend="min")
        if isinstance(norm, LogNorm):
            ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if t >= float(norm.vmin or 0)]
            bar.set_ticks(ticks, labels=[f"{t:g}" for t in ticks], minor=False)
            bar.minorticks_off()
    axes[0, 0].invert_yaxis()
    for panel, look in zip(axes[0], style.QUANTITY.values(), strict=True):
        panel.set_title(look.label, fontsize=9)
    for panel in axes[-1]:
        panel.set_xlabel("model call")
    return figure


def block(layer: str) -> str:
    """Return the part of a U-Net that a layer belongs to, judging by its name."""
    first, _, rest = layer.partition(".")
    names = {"conv_in": "input, time", "time_embedding": "input, time", "mid_block": "middle", "conv_out": "output"}
    if first in names:
        return names[first]
    return f"{first.removesuffix('_blocks')} {rest.partition('.')[0]}" if first.endswith("_blocks") else first


def _groups(panel: Axes, layers: list[str]) -> None:
    """Draw a white line between the blocks, and the name of each block at its middle."""
    start, ticks, labels = 0, [], []
    for name, members in groupby(layers, block):
        count = len(list(members))
        ticks.append(start + count / 2)
        labels.append(name)
        start += count
        panel.axhline(start, color="white", lw=1)
    panel.set_yticks(ticks, labels)
    panel.tick_params(axis="y", length=0)
