"""The paper's Fig. 1b: what the three recursions quantize per step (input, difference, the closed loop's residual)."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.interpolate import PchipInterpolator

from analysis.experiments import digits
from modiff_sim.plot import style

from .practice import STAND_IN, params

TITLE = "Inputs and their differences per step"
CAPTION = (
    "Inputs of three layers of the full-precision model and their temporal differences, per model call in sampling "
    "order (the paper's Fig. 1b). Left: violins from stored quantiles, scaled to one width, which is the root of the "
    "density so that tails can be seen; whiskers end at the extremes. Right: largest absolute value at every call, for "
    "the residual of the closed loop (absmax, 3 bits) as well; dotted, a tenth of the input's (the paper: differences "
    "are more than 10 times smaller). " + STAND_IN
)
PARAMS = params()
SHOWN = 10  # violins per quantity
#: an early, a middle and a late layer; models without such layers show three evenly spaced ones
LAYERS = ("down_blocks.0.downsamplers.0.conv", "mid_block.resnets.0.conv1", "up_blocks.1.resnets.0.conv_shortcut")


def data(effort: str) -> dict[str, np.ndarray]:
    """Return quantiles_q (layer, step, level) and absmax_q (layer, step) of the chosen layers, for q in a, d, r."""
    return choose(digits.distributions(effort))


def choose(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the part of ``distributions`` that is drawn."""
    names = [str(n) for n in found["layers"]]
    wanted = [names.index(n) for n in LAYERS if n in names]
    if len(wanted) < len(LAYERS):
        wanted = np.unique(np.linspace(0, len(names) - 1, len(LAYERS)).round().astype(int)).tolist()
    out = {f"{kind}_{q}": np.asarray(found[f"{kind}_{q}"])[wanted] for kind in ("quantiles", "absmax") for q in "adr"}
    return out | {"layers": np.array([names[i] for i in wanted]), "levels": found["levels"], "steps": found["steps"]}


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw violins of inputs and differences, and their largest values."""
    steps, layers = data["steps"], [str(n) for n in data["layers"]]
    figure, axes = style.grid(
        len(layers), 2, height=0.8 + 2.2 * len(layers), sharex="col", gridspec_kw={"width_ratios": [2.6, 1]}
    )
    shown = np.unique(np.linspace(1, len(steps) - 1, SHOWN).round().astype(int))
    for i, name in enumerate(layers):
        left, right = axes[i]
        for order, (quantity, look) in enumerate(style.QUANTITY.items()):
            for x, step in enumerate(shown if quantity != "r" else ()):
                _violin(left, x + 0.2 * (2 * order - 1), data[f"quantiles_{quantity}"][i, step], data["levels"], look)
            right.plot(steps, data[f"absmax_{quantity}"][i], color=look.colour, ls="--" if quantity == "r" else "-")
        style.logarithmic(right)
        right.plot(steps, data["absmax_a"][i] / 10, color=style.QUANTITY["a"].colour, lw=1, ls=":")
        left.set_title(name, loc="left")
        left.set_ylabel("value")
        right.set_ylabel("largest |value|")
        left.grid(axis="x", visible=False)
        largest = float(np.nanmax(data["absmax_a"][i]))
        right.set_ylim(10.0 ** np.floor(np.log10(largest / 150)), 1.5 * largest)
    axes[-1, 0].set_xticks(np.arange(len(shown)), [str(steps[s]) for s in shown])
    axes[-1, 0].set_xlim(-0.5, len(shown) - 0.5)
    axes[-1, 1].set_xlim(0, steps[-1])
    for panel in axes[-1]:
        panel.set_xlabel("model call")
    looks = style.QUANTITY
    handles: list[Any] = [Patch(facecolor=looks[q].colour, label=looks[q].label) for q in "ad"]
    handles.append(Line2D([], [], color=looks["r"].colour, ls="--", label=looks["r"].label))
    handles.append(Line2D([], [], color=looks["a"].colour, lw=1, ls=":", label="a tenth of the input's"))
    style.legend(figure, handles, columns=4)
    return figure


def _violin(axes: Axes, x: float, quantiles: np.ndarray, levels: np.ndarray, look: style.Look) -> None:
    """Draw a violin whose half-width is the root of the density.

    The density comes from a monotone interpolation of the distribution through its quantiles.
    """
    if not np.isfinite(quantiles).all():
        return
    axes.vlines(x, quantiles[0], quantiles[-1], color=look.colour, lw=0.7)
    last = np.append(np.diff(quantiles) > 0, True)  # the highest level of equal quantiles: an atom is a jump
    values = quantiles[last]
    if len(values) > 1:
        y = np.unique(np.concatenate([np.linspace(values[0], values[-1], 200), _between(values)]))
        density = np.maximum(PchipInterpolator(values, levels[last]).derivative()(y), 0)  # negative by rounding only
        width = 0.19 * np.sqrt(density / density.max())
        axes.fill_betweenx(y, x - width, x + width, color=look.colour, lw=0)
    middle = quantiles[np.argmin(np.abs(levels - 0.5))]
    axes.plot(x, middle, ".", color="white", ms=2.5, mec="black", mew=0.4, zorder=4)


def _between(values: np.ndarray) -> np.ndarray:
    """Return points between neighbouring quantiles, which follow the middle of a long-tailed distribution closely."""
    return (values[:-1, None] + np.diff(values)[:, None] * np.linspace(0, 1, 9)).ravel()
