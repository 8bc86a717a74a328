"""Distance to full precision against activation bits for the three recursions: where the cliff is."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.experiments.sizes import Effort
from modiff_sim.plot import page, style

from .practice import MANY, ablation, described, params

BITS_TAKEN = MANY
TITLE = "Distance to full precision against activation bits"
TEXT = (
    "Each image against that of full precision from the same noise (medians over images), by activation bits, with "
    "weights at 8 bits. Left: PSNR. Right: relative l2. Dashed: quantized weights alone. Triangles at the edge are "
    "off scale, their values are written beside them."
)
CAPTION = described(TEXT, found="Distances to real digits, and 4-bit weights, are in Table 1.", weights=True)
ALT = (
    "Two panels against activation bits, 8 to 2. The closed loop stays near full precision down to 4 bits and is lost "
    "at 2; direct quantization falls steadily from 6 bits on; the open loop is the worst from 6 to 3 bits."
)
CLAIMS = ("three_bits_per_sample",)
#: how a part of the caption begins -> the panel that it is about; "" where it goes on about both
PARTS = {"Left: ": "a", "Right: ": "b", "Dashed: ": ""}
PARAMS = params()
RECURSIONS = ("direct", "open_loop", "closed_loop")
WEIGHTS = 8
COLUMNS = ("bits", "weight_bits", "n", "psnr", "relative_l2", "audit_share")


def data(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return the rows of the ablation as columns, with NaN for None."""
    return columns(ablation(effort))


def columns(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Return the rows of ``ablation`` as arrays."""
    out = {k: np.array([np.nan if r[k] is None else r[k] for r in rows], dtype=float) for k in COLUMNS}
    return out | {"recursion": np.array([r["recursion"] for r in rows])}


#: measure -> (axis label, logarithmic)
MEASURES = {
    "psnr": ("PSNR to full precision, dB", False),
    "relative_l2": ("relative l2 to full precision", True),
}
SHORT = {"psnr": "PSNR", "relative_l2": "relative l2"}


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw a panel per measure."""
    bits = sorted({int(b) for b in data["bits"] if b != 32}, reverse=True)
    x = np.arange(len(bits))
    figure, axes = style.grid(1, len(MEASURES), height=3.6, sharex=True)
    off: dict[Axes, list[str]] = {panel: [] for panel in axes[0]}
    for panel, (measure, (label, log)) in zip(axes[0], MEASURES.items(), strict=True):
        limits = _limits(data, measure, log)
        if log:
            style.logarithmic(panel)
        panel.set_ylim(limits)
        panel.set_xlabel("activation bits")
        panel.set_ylabel(label)
        alone = _row(data, "direct", 32)
        panel.axhline(data[measure][alone], color="black", lw=1, ls=(0, (4, 2)), zorder=1)
        for name in RECURSIONS:
            rows = np.array([_row(data, name, b) for b in bits])
            values = _curve(panel, x, data[measure][rows], style.RECURSION[name], limits)
            who = f"{SHORT[measure]} of {style.SHORT[name]}"
            off[panel] += [f"{who} at {bits[i]} bits {style.number(v)}" for i, v in values]
    page.noted(figure, off, "off scale: ")
    axes[0, 0].set_xticks(x, [str(b) for b in bits])
    axes[0, 0].set_xlim(-0.3, len(bits) - 0.7)
    style.legend(figure, _keys(), columns=4)
    return figure


def _row(data: dict[str, np.ndarray], recursion: str, bits: int) -> int:
    match = (data["recursion"] == recursion) & (data["bits"] == bits) & (data["weight_bits"] == WEIGHTS)
    return int(np.flatnonzero(match)[0])


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


def _curve(
    panel: Axes, x: np.ndarray, values: np.ndarray, look: style.Look, limits: tuple[float, float]
) -> list[tuple[int, float]]:
    """Draw the curve of one recursion, and return the values off scale with their index, which are triangles."""
    panel.plot(x, np.clip(values, *limits), color=look.colour, ls=look.line, zorder=3)
    inside = (values >= limits[0]) & (values <= limits[1])
    panel.plot(x[inside], values[inside], color=look.colour, ls="", marker=look.marker, ms=4.5, zorder=4)
    for i in np.flatnonzero(~inside):
        above = values[i] > limits[1]
        panel.plot(
            x[i], limits[int(above)], color=look.colour, marker=10 if above else 11, ms=8, clip_on=False, zorder=5
        )
    return [(int(i), float(values[i])) for i in np.flatnonzero(~inside)]


def _keys() -> list[Any]:
    return [
        *(style.key(style.RECURSION[n]) for n in RECURSIONS),
        Line2D([], [], color="black", lw=1, ls=(0, (4, 2)), label="quantized weights alone"),
    ]
