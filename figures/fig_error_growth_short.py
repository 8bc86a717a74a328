"""The printed bounds on one process, small enough for a column: ``error_growth`` has all processes and all readings."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from modiff_sim.plot import style

from .fig_error_growth import PARAMS, PROCESSES, measured, visible

TITLE = "Where the printed bounds fail"
CAPTION = (
    "Output error of one layer (A = 1) per model call, in sampling order, for absmax at 4 bits, d = 16: median and "
    "5–95 % of the trials. Left, without compensation, differences shrink by 0.7 per call; right, with compensation, "
    "the input jumps at calls 6, 12 and 18. Hollow circles: the worst quantizer of the same c, on collinear "
    "differences of the same norms. Shaded: calls at which the printed bound, whose exponents count from the other end "
    "of sampling, is exceeded in at least one trial. The sharp bound never is."
)
ALT = (
    "Two panels of error per call. Left, open loop: the hollow circles of the worst quantizer lie on the sharp bound "
    "and above the printed bound (30) up to call 15. Right, closed loop: errors jump at three impulses and decay; "
    "after each jump the circles lie on the sharp bound and above the flat printed bound (31). Calls at which a "
    "printed bound is exceeded are shaded."
)
CLAIMS = ("printed_30_paper_index", "printed_31_paper_index", "sharp_closed_loop", "sharp_open_loop")
#: how a part of the caption begins -> the panels that it is about; "" where it goes on about all
PARTS = {"Left, without": "a", "right, with": "b", "Hollow circles": ""}
#: loop -> (process of ``error_growth``, title)
PANELS = {
    "open_loop": ("shrinking, ratio 0.7", "open loop and (30)"),
    "closed_loop": ("impulses at 6, 12, 18", "closed loop and (31)"),
}
SHOWN = {"printed_paper": "printed bound", "sharp": "sharp bound"}
HEIGHT = 2.7
_WORST = {"ls": "", "marker": "o", "mfc": "white", "mec": "black", "mew": 0.8, "ms": 3.6, "zorder": 4}


def data(effort: str) -> dict[str, np.ndarray]:
    """Return per loop the error (steps, trials), its worst case, the bounds, and where the printed one is exceeded."""
    p, out = PARAMS[effort], {}
    for name, (process, _) in PANELS.items():
        out |= measured(PROCESSES[process](p["d"]), name, p)
    return {"steps": np.arange(p["steps"])} | out


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw a panel for each loop."""
    steps, calls = data["steps"], data["steps"][1:]
    figure, axes = style.grid(1, len(PANELS), height=HEIGHT)
    style.logarithmic(*axes[0])
    for panel, (name, (_, title)) in zip(axes[0], PANELS.items(), strict=True):
        style.spread(panel, calls, visible(data[name][1:]), style.RECURSION[name], every=4)
        for label in SHOWN:
            style.bound(panel, calls, visible(data[f"{name}_{label}"]), style.BOUND[label])
        worst = visible(np.median(data[f"{name}_worst"], axis=1))
        panel.plot(steps[2::2], worst[2::2], **_WORST)
        for call in calls[data[f"{name}_printed_paper_exceeded"]]:
            panel.axvspan(call - 0.5, call + 0.5, color=style.ALARM, alpha=0.15, lw=0, zorder=0)
        panel.set_title(title)
        panel.set_xlabel("model call")
        panel.set_xlim(0, steps[-1] + 0.5)
        panel.set_ylim(_limits(data, name))
    axes[0, 0].set_ylabel("error, 2-norm")
    looks = [style.Look(text, style.BOUND[n].colour, style.BOUND[n].line) for n, text in SHOWN.items()]
    loops = [style.key(style.RECURSION[name]) for name in PANELS]
    worst = Line2D([], [], label="worst quantizer", **_WORST)
    alarm = style.key(style.Look("printed bound exceeded", style.ALARM), band=True)
    style.legend(figure, [*loops, worst, *map(style.key, looks), alarm], columns=3)
    return figure


def _limits(data: dict[str, np.ndarray], name: str) -> tuple[float, float]:
    """Return limits a little beyond the median errors and the sharp bound; printed bounds may leave the panel."""
    values = np.concatenate([np.median(data[name], axis=1), data[f"{name}_sharp"], data[f"{name}_printed_paper"]])
    values = values[np.isfinite(values) & (values > 0)]
    top = max(np.median(data[name], axis=1).max(), data[f"{name}_sharp"].max())
    return float(max(values.min(), top / 1e4)) / 2, float(top) * 5
