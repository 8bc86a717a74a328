"""How much every quantizer contracts at each number of bits: typical and worst case, in both norms."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from modiff_sim import QUANTIZERS
from modiff_sim.contraction.atlas import atlas
from modiff_sim.plot import style

TITLE = "What a quantizer loses: typical input and worst case"
CAPTION = (
    "One input x of d = 4096 normal entries. Left: c = ‖x-Q(x)‖²/‖x‖², the contraction that the paper assumes to be "
    "below 1 (below 1/2 in its appendix). Right: κ = ‖x-Q(x)‖∞/‖x‖∞. Colour and upper number: mean over inputs. Lower "
    "number: declared worst case over all inputs of that dimension (a theorem; '≤' where it is an upper bound that no "
    "input is known to attain; in expectation for stochastic rounding). One scale per input, but per run of 32 entries "
    "for the MX formats, as specified. A format that fixes its bits has one column. Framed: (29) holds with 2c < 1 for "
    "every input of this dimension. In the 2-norm that is rare below 8 bits, whatever is typical; floats and blocks "
    "are the exception. In the max norm worst case and typical case are close, except where the grid clips."
)
ALT = (
    "Two tables of coloured cells, quantizers in rows and bits in columns. In the 2-norm the means fall fast with the "
    "bits, but the worst cases of integer grids stay near 1 or above it below 8 bits; framed, with a worst case below "
    "one half, are floats, blocks, powers of two and 8-bit grids. In the max norm mean and worst case are nearly "
    "equal, but for the grids that clip."
)
CLAIMS = (
    "absmax_worst_case_c", "assumption_29_real_dimension", "kappa_any_dimension", "measured_c_table",
    "stochastic_rounding_c", "stochastic_rounding_kappa", "float_formats_kappa", "float_formats_c", "block_formats",
    "mse_clipping_c", "percentile_not_contractive", "clipping_kappa", "half_away_same_worst_case", "mid_rise",
    "floor_worst_case_c",
)  # fmt: skip
#: how a part of the caption begins -> the panels that it is about; "" where it goes on about all
PARTS = {"Left: ": "a", "Right: ": "b", "Colour and upper": "", "In the 2-norm": "a", "In the max norm": "b"}
D = 4096
BITS = (2, 3, 4, 6, 8)
LABELS = {
    "absmax": "absmax", "half_away": "absmax, ties away", "mid_rise": "mid-rise (no zero level)",
    "dead_zone": "dead zone, 20 %", "stochastic": "absmax, stochastic", "minmax": "min-max with zero",
    "floor": "min-max, floor", "percentile": "clipped, 99th percentile", "mse": "clipped, least error",
    "logarithmic": "powers of two", "fp8_e4m3": "FP8 e4m3", "fp8_e5m2": "FP8 e5m2", "mxfp4_e2m1": "MXFP4 e2m1",
    "mxfp6_e2m3": "MXFP6 e2m3", "mxfp6_e3m2": "MXFP6 e3m2", "mxfp8_e4m3": "MXFP8 e4m3", "mxfp8_e5m2": "MXFP8 e5m2",
    "mxint8": "MXINT8",
}  # fmt: skip
#: fixed scales, which fit no input of unknown size, and a scale with a floor
LEFT_OUT = ("minmax_raw", "static", "grid_aligned", "static_affine", "zero", "identity")
NAMES = [*LABELS, *(name for name in QUANTIZERS if name not in LABELS and name not in LEFT_OUT)]
PARAMS: dict[str, dict[str, Any]] = {
    "quick": {"seed": 0, "d": D, "bits": list(BITS), "trials": 4},
    "full": {"seed": 0, "d": D, "bits": list(BITS), "trials": 64},
}
_STEPS = {"c": [0, 1e-3, 1e-2, 0.05, 0.2, 0.5, 1], "kappa": [0, 0.01, 0.03, 0.1, 0.25, 0.5, 1]}


def data(effort: str) -> dict[str, np.ndarray]:
    """Return per norm the mean, the declared worst case and whether that is tight, each (quantizers, bits).

    They are NaN where a quantizer does not have these bits.
    """
    p = PARAMS[effort]
    shape = (len(NAMES), len(BITS))
    out = {f"{norm}_{what}": np.full(shape, np.nan) for norm in _STEPS for what in ("mean", "declared", "tight")}
    # every quantizer has its own granularity: one scale per sample, or per run of 32 for the MX formats
    for row in atlas(NAMES, BITS, [D], ["normal"], trials=p["trials"], seed=p["seed"], search=False):
        at = NAMES.index(row["quantizer"]), BITS.index(row["bits"])
        laws = QUANTIZERS[row["quantizer"]].laws
        out[f"{row['norm']}_mean"][at] = row["mean"]
        out[f"{row['norm']}_declared"][at] = row["declared"]
        out[f"{row['norm']}_tight"][at] = getattr(laws, row["norm"]) == "tight"
    return out | {"bits": np.array(BITS), "quantizers": np.array(NAMES)}


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw a table of contractions for each norm."""
    figure, axes = style.grid(1, 2, height=8.6, sharey=True)
    for panel, norm, title in zip(axes[0], _STEPS, ("c, squared 2-norm", "κ, max norm"), strict=True):
        _table(figure, panel, data, norm)
        panel.set_title(title)
        panel.set_xlabel("bits")
    names = [LABELS.get(str(name), str(name)) for name in data["quantizers"]]
    axes[0, 0].set_yticks(np.arange(len(names)), names)
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    style.legend(
        figure,
        [
            Line2D([], [], ls="", marker="$.21$", color="black", ms=13, label="bold: mean of normal inputs"),
            Line2D(
                [], [], ls="", marker="$.99$", color=style.NEUTRAL[1], ms=13, label="below: worst case of any input"
            ),
            Patch(facecolor="none", edgecolor="black", lw=1.6, label="worst case below ½: (29) holds with 2c < 1"),
        ],
        columns=3,
    )
    return figure


def _table(figure: Figure, panel: Any, data: dict[str, np.ndarray], norm: str) -> None:
    mean, declared, tight = (data[f"{norm}_{what}"] for what in ("mean", "declared", "tight"))
    colours = mpl.colormaps["YlGnBu"]
    scale = BoundaryNorm(_STEPS[norm], colours.N, extend="max")
    rows, columns = mean.shape
    edges = np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5
    image = panel.pcolormesh(*edges, np.ma.masked_invalid(mean), cmap=colours, norm=scale, edgecolor="white", lw=1.5)
    panel.grid(False)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    panel.set_xticks(np.arange(columns), data["bits"])
    for i, j in zip(*np.nonzero(np.isfinite(mean)), strict=True):
        ink = "white" if np.dot(colours(scale(mean[i, j]))[:3], (0.299, 0.587, 0.114)) < 0.55 else "black"
        worst = _short(declared[i, j]) if tight[i, j] else f"≤{_short(declared[i, j]).removeprefix('0')}"
        panel.text(j, i, _short(mean[i, j]), ha="center", va="bottom", color=ink, fontsize=8.5, weight="bold")
        panel.text(j, i + 0.05, worst, ha="center", va="top", color=ink, fontsize=style.SMALLEST)
        if norm == "c" and declared[i, j] < 0.5:
            panel.add_patch(Rectangle((j - 0.46, i - 0.44), 0.92, 0.88, fill=False, edgecolor="black", lw=1.6))
    bar = figure.colorbar(image, ax=panel, location="bottom", fraction=0.03, pad=0.01, aspect=30, spacing="uniform")
    bar.set_ticks(_STEPS[norm], labels=["½" if v == 0.5 else f"{v:g}" for v in _STEPS[norm]])
    bar.ax.tick_params(labelsize=style.SMALLEST)
    bar.set_label(f"mean {'c' if norm == 'c' else 'κ'} of normal inputs")


def _short(value: float) -> str:
    """Format a number with few digits: 0.21, 0.999, 7e-5, 3.4, 455."""
    if value >= 10 or value == 0:
        return f"{value:.0f}"
    if 0.995 <= value < 0.9995:
        return f"{value:.3f}"
    if value >= 0.0995:
        return f"{value:.2g}"
    return f"{value:.3f}" if value >= 1e-3 else f"{value:.0e}".replace("e-0", "e-")
