"""How c and κ depend on the dimension: typical inputs per distribution, and worst cases per kind of grid."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from modiff_sim import PerGroup, contraction
from modiff_sim.contraction.atlas import DISTRIBUTIONS, atlas
from modiff_sim.plot import style
from modiff_sim.quantizers import make

TITLE = "c knows the dimension, κ does not"
CAPTION = (
    "One scale for d entries. Upper panels: absmax with 2, 3, 4 and 8 bits. Lines: declared worst case c(d) = "
    "(d-1)/(d-1+4·qmax²); crosses: worst input found by a search; markers: mean over independent inputs with its 95 % "
    "bootstrap interval (often smaller than the marker), one panel per distribution. t5: Student's t with 5 degrees of "
    "freedom; sparse: normal with 95 % zeros; outlier: normal with one entry at 50 standard deviations, which decides "
    "the scale. Dashed: c = 1/2, the largest that the paper's appendix allows, and c = 1, beyond which quantizing adds "
    "more error than there was signal. Lower panels: worst cases of other grids, c and κ. Integer grids tend to c = 1 "
    "and mid-rise goes beyond; floats (FP8) and blocks of 32 (MXFP4) stay, in both norms."
)
ALT = (
    "Eight panels of constants against the number of entries that share a scale, on logarithmic axes. Six, one per "
    "distribution, show worst-case curves of c that rise to 1, with the means of random inputs below them, nearest "
    "for heavy tails. Below them the worst c of integer grids rises to 1 and that of mid-rise beyond, while floats "
    "and blocks stay flat; every curve of kappa is flat."
)
CLAIMS = (
    "absmax_worst_case_c", "assumption_29_typical", "grid_worst_case_c", "measured_c_table", "mid_rise",
    "float_formats_c", "block_formats",
)  # fmt: skip
#: how a part of the caption begins -> the panels that it is about
PARTS = {"Upper panels: ": "abcdef", "Lower panels: ": "gh"}
BITS = (2, 3, 4, 8)
WORST = {
    ("absmax", 4): "absmax, 4 bits", ("mid_rise", 4): "mid-rise, 4 bits", ("logarithmic", 4): "powers of two, 4 bits",
    ("mxfp4_e2m1", 4): "MXFP4, blocks of 32", ("absmax", 8): "absmax, 8 bits", ("fp8_e4m3", 8): "FP8 e4m3",
}  # fmt: skip
_COMMON = {"seed": 0, "bits": list(BITS)}
PARAMS: dict[str, dict[str, Any]] = {
    "quick": {**_COMMON, "dims": [2, 32, 512, 8192], "searched": [32, 8192], "trials": 8},
    "full": {
        **_COMMON, "dims": [2, 8, 32, 128, 512, 4096, 32768, 262144, 10**6],
        "searched": [2, 32, 512, 8192, 131072, 10**6], "trials": 64,
    },
}  # fmt: skip


def data(effort: str) -> dict[str, np.ndarray]:
    """Return the c of absmax, and the worst cases of other grids.

    For absmax: measured (distributions, bits, dims, [mean, low, high]), searched (bits, few dims) and declared (bits,
    fine dims). For other grids: worst c and κ (grids, fine dims).
    """
    p = PARAMS[effort]
    dims, fine = p["dims"], np.unique(np.geomspace(2, 10**6, 80).astype(int))
    measured = np.empty((len(DISTRIBUTIONS), len(BITS), len(dims), 3))
    for row in atlas(["absmax"], BITS, dims, norms=["c"], trials=p["trials"], seed=p["seed"], search=False):
        at = list(DISTRIBUTIONS).index(row["distribution"]), BITS.index(row["bits"]), dims.index(row["d"])
        measured[at] = row["mean"], row["low"], row["high"]
    found = [[contraction.search(make("absmax", b), d, tries=4, rounds=1).value for d in p["searched"]] for b in BITS]
    out = {
        "dims": np.array(dims), "measured": measured, "searched_dims": np.array(p["searched"]),
        "searched": np.array(found), "fine": fine,
        "declared": np.array([[make("absmax", b).c(int(d)) for d in fine] for b in BITS]),
    }  # fmt: skip
    for norm in contraction.NORMS:
        out[f"worst_{norm}"] = np.array([[_worst(name, bits, norm, int(d)) for d in fine] for name, bits in WORST])
    return out


def _worst(name: str, bits: int, norm: str, d: int) -> float:
    """Return the declared worst case for d entries with one scale, or one per run of 32 for the MX formats."""
    Q = make(name, bits)
    return float(getattr(Q, norm)(min(d, Q.granularity.size) if isinstance(Q.granularity, PerGroup) else d))


_MARKERS = dict(zip(BITS, "os^D", strict=True))
_LINES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)), (0, (2, 1)))


def _colours(n: int) -> list[Any]:
    return [mpl.colormaps["viridis"](v) for v in np.linspace(0, 0.85, n)]


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw c of absmax per distribution, and the worst cases of other grids."""
    figure = Figure(figsize=(style.WIDTH, 8.4), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[5.2, 3.2])
    axes = upper.subplots(2, 3, sharex=True, sharey=True)
    style.logarithmic(*axes.flat)
    for panel, name, measured in zip(axes.flat, DISTRIBUTIONS, data["measured"], strict=True):
        style.logarithmic(panel, which="x")
        for i, (bits, colour) in enumerate(zip(BITS, _colours(len(BITS)), strict=True)):
            panel.plot(data["fine"], data["declared"][i], color=colour, lw=1.2)
            panel.plot(data["searched_dims"], data["searched"][i], "x", color=colour, ms=5)
            seen = measured[i, :, 0] > 1e-7
            middle, low, high = measured[i, seen].T
            panel.errorbar(
                data["dims"][seen], middle, (middle - low, high - middle), fmt=_MARKERS[bits], color=colour, ms=4, lw=1
            )
        for level in (0.5, 1):
            panel.axhline(level, color="black", lw=0.8, ls=(0, (4, 3)), zorder=1.5)
        panel.set_title({"t5": "Student t5", "laplace": "Laplace"}.get(name, name))
    axes[0, 0].set_xlim(1.3, 2e6)
    axes[0, 0].set_ylim(1e-5, 3)
    for panel in axes[1]:
        panel.set_xlabel("entries per scale, d")
    for panel in axes[:, 0]:
        panel.set_ylabel("c of absmax")
    style.legend(
        upper,
        [
            *(Line2D([], [], color=c, marker=_MARKERS[b], ms=4, label=f"{b} bits")
              for b, c in zip(BITS, _colours(len(BITS)), strict=True)),
            Line2D([], [], color="black", lw=1.2, label="declared worst case"),
            Line2D([], [], color="black", ls="", marker="x", ms=5, label="found by search"),
            Line2D([], [], color="black", ls="", marker="o", ms=4, label="mean of inputs"),
            Line2D([], [], color="black", lw=0.7, ls=(0, (4, 3)), label="c = ½, 1"),
        ],
        columns=4,
    )  # fmt: skip
    _other_grids(lower, data)
    return figure


def _other_grids(lower: Any, data: dict[str, np.ndarray]) -> None:
    panels = lower.subplots(1, 2)
    colours = _colours(len(WORST))
    for panel, norm, name in zip(panels, contraction.NORMS, ("c", "κ"), strict=True):
        style.logarithmic(panel)
        style.logarithmic(panel, which="x")
        for values, colour, line in zip(data[f"worst_{norm}"], colours, _LINES, strict=True):
            panel.plot(data["fine"], values, color=colour, ls=line)
        panel.set_xlabel("entries per scale, d")
        panel.set_ylabel(f"worst case of {name}")
        panel.set_xlim(1.3, 2e6)
    for level in (0.5, 1):
        panels[0].axhline(level, color="black", lw=0.8, ls=(0, (4, 3)), zorder=1.5)
    panels[0].set_ylim(1e-4, 1e2)
    panels[1].set_ylim(1e-3, 1)
    for i in (0, 2, 4, 5):  # not all of them: the 1/15 of mid-rise is next to 1/14, and MXFP4 shares 1/4
        kappa = data["worst_kappa"][i, -1]
        panels[1].text(data["fine"][-1], 1.08 * kappa, f"1/{1 / kappa:.0f}", ha="right", fontsize=style.SMALLEST)
    keys = [Line2D([], [], color=c, ls=s, label=n) for c, s, n in zip(colours, _LINES, WORST.values(), strict=True)]
    style.legend(lower, keys, columns=3)
