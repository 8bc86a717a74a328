"""Quality against activation bits for the three recursions: where the cliff is."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from . import style
from .practice import STAND_IN, ablation, params

TITLE = "Quality against activation bits"
CAPTION = (
    "Fréchet distance to real digits in the features of a digit classifier (not FID) with the 95 % interval of the "
    "paired comparison with full precision, and PSNR and relative l2 to full precision from the same noise (medians "
    "over images), against activation bits, at the weight bits of the row. Fréchet distances "
    "are of the number of images in the title and comparable with each other only. "
    "Dashed: quantized weights alone. Triangles at the edge are off scale, their values are written beside them. "
    + STAND_IN
)
PARAMS = params()
RECURSIONS = ("direct", "open_loop", "closed_loop")
COLUMNS = ("bits", "weight_bits", "n", "frechet", "frechet_low", "frechet_high", "psnr", "relative_l2", "audit_share")


def data(effort: str) -> dict[str, np.ndarray]:
    """Return the rows of the ablation as columns, with NaN for None. "features" names the classifier."""
    return columns(ablation(effort))


def columns(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Return the rows of ``ablation`` as arrays."""
    out = {k: np.array([np.nan if r[k] is None else r[k] for r in rows], dtype=float) for k in COLUMNS}
    out["recursion"] = np.array([r["recursion"] for r in rows])
    return out | {"features": np.array(rows[0].get("features", ""))}


#: measure -> (axis label, logarithmic)
MEASURES = {
    "frechet": ("Fréchet to real digits", True),
    "psnr": ("PSNR to full precision, dB", False),
    "relative_l2": ("relative l2 to full precision", True),
}
SHORT = {"frechet": "Fréchet", "psnr": "PSNR", "relative_l2": "relative l2"}


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw quality against activation bits, in a row per number of weight bits."""
    weight_bits = sorted({int(w) for w in data["weight_bits"] if w != 32}, reverse=True)
    bits = sorted({int(b) for b in data["bits"] if b != 32}, reverse=True)
    x = np.arange(len(bits))
    figure, axes = style.grid(len(weight_bits), 3, height=0.9 + 2.7 * len(weight_bits), sharex=True, sharey="col")
    off: list[str] = []
    for column, (measure, (label, log)) in enumerate(MEASURES.items()):
        limits = _limits(data, measure, log)
        if log:
            style.logarithmic(*axes[:, column])
        axes[0, column].set_ylim(limits)
        axes[-1, column].set_xlabel("activation bits")
        axes[0, column].set_title(f"{label}, n = {int(data['n'][0])}" if measure == "frechet" else label)
        for panel, weights in zip(axes[:, column], weight_bits, strict=True):
            _references(panel, data, measure, weights)
            for name in RECURSIONS:
                found = [_row(data, name, b, weights) for b in bits]
                if None in found:
                    continue
                values = _curve(panel, x, data, measure, np.array(found), style.RECURSION[name], limits)
                off += [
                    f"{SHORT[measure]} of {style.SHORT[name]} at W{weights}A{bits[i]} {style.number(v)}"
                    for i, v in values.items()
                ]
    if off:
        lines = textwrap.fill("off scale: " + "; ".join(off), 150)  # mathtext counts letters that it does not show
        figure.supxlabel(lines, fontsize=style.SMALLEST, x=0.01, ha="left")
    for panel, weights in zip(axes[:, 0], weight_bits, strict=True):
        panel.set_ylabel(f"weights at {weights} bits")
    axes[0, 0].set_xticks(x, [str(b) for b in bits])
    axes[0, 0].set_xlim(-0.3, len(bits) - 0.7)
    style.legend(figure, _keys(), columns=3)
    return figure


def _row(data: dict[str, np.ndarray], recursion: str, bits: int, weights: int) -> int | None:
    match = (data["recursion"] == recursion) & (data["bits"] == bits) & (data["weight_bits"] == weights)
    return int(np.flatnonzero(match)[0]) if match.any() else None


def _limits(data: dict[str, np.ndarray], measure: str, log: bool) -> tuple[float, float]:
    """Return limits around the finite values, but at most a few decades above the best arm, or down to 0 dB.

    Arms that diverge are off scale.
    """
    values = data[measure][data["bits"] != 32]
    values = values[np.isfinite(values)]
    if not log:
        return min(0.0, max(0.0, values.min()) - 2), 5 * np.ceil((values.max() + 3) / 5)
    best = np.nanmin(data[measure][data[measure] > 0])
    return best / 1.6, min(values.max() * 1.6, best * 1e3)


def _references(panel: Axes, data: dict[str, np.ndarray], measure: str, weights: int) -> None:
    full, alone = _row(data, "direct", 32, 32), _row(data, "direct", 32, weights)
    if measure == "frechet" and full is not None:
        value = data[measure][full]
        panel.axhline(value, color="black", lw=1, zorder=1)
    if alone is not None:
        panel.axhline(data[measure][alone], color="black", lw=1, ls=(0, (4, 2)), zorder=1)


def _curve(
    panel: Axes,
    x: np.ndarray,
    data: dict[str, np.ndarray],
    measure: str,
    rows: np.ndarray,
    look: style.Look,
    limits: tuple[float, float],
) -> dict[int, float]:
    """Draw the curve of one recursion, and return by index the values off scale, which are triangles at the edge."""
    values = data[measure][rows]
    panel.plot(x, np.clip(values, *limits), color=look.colour, ls=look.line, zorder=3)
    inside = (values >= limits[0]) & (values <= limits[1])
    panel.plot(x[inside], values[inside], color=look.colour, ls="", marker=look.marker, ms=4.5, zorder=4)
    if measure == "frechet":
        panel.vlines(x, data["frechet_low"][rows], data["frechet_high"][rows], color=look.colour, lw=1, zorder=2)
    for i in np.flatnonzero(~inside):
        above = values[i] > limits[1]
        panel.plot(
            x[i], limits[int(above)], color=look.colour, marker=10 if above else 11, ms=8, clip_on=False, zorder=5
        )
    return {int(i): float(values[i]) for i in np.flatnonzero(~inside)}


def _keys() -> list[Any]:
    return [
        *(style.key(style.RECURSION[n]) for n in RECURSIONS),
        Line2D([], [], color="black", lw=1, label="full precision"),
        Line2D([], [], color="black", lw=1, ls=(0, (4, 2)), label="quantized weights alone"),
    ]
