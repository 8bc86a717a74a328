"""Error of the three recursions on four processes against every 2-norm bound, and where the printed ones are exceeded.

Bounds hold for any quantizer with ||x-Q(x)||² <= c||x||², so two quantizers with the same c are measured: absmax,
which is usually far better than its worst case, and Q(x) = (1-√c)x on collinear differences of the same norms, for
which the premise is an equality.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

import modiff_sim as ms
from modiff_sim import Laws, bounds
from modiff_sim.plot import style

TITLE = "Error growth against all bounds"
CAPTION = (
    "Output error of one layer (A = 1) per model call, in sampling order, for absmax at 4 bits and d = 16, whose "
    "declared c is 0.07 (2c < 1): median and 5–95 % of the trials. Hollow circles: the quantizer Q(x) = (1-√c)x on "
    "collinear differences of the same norms, which meets assumption (29) with equality. Red bars: calls at which the "
    "printed bound (30) or (31), read with the paper's index or in sampling order, is exceeded in at least one trial; "
    "the corrected and the sharp bound never are. Stationary differences (random walk) hide the error in (31)."
)
ALT = (
    "Twelve panels of error per call, four kinds of inputs in columns. Top: the closed loop has the smallest error of "
    "three recursions. Middle and bottom: errors of the open and of the closed loop with their bounds; hollow "
    "circles, the worst quantizer, lie on the sharp bound, and red bars mark calls at which the printed bounds lie "
    "below them."
)
CLAIMS = (
    "printed_30_paper_index", "printed_30_sampling_order", "corrected_30", "printed_31_paper_index",
    "printed_31_sampling_order", "corrected_31", "sharp_closed_loop", "sharp_open_loop",
)  # fmt: skip
_COMMON = {"seed": 0, "d": 16, "bits": 4, "steps": 25}
PARAMS: dict[str, dict[str, Any]] = {"quick": {**_COMMON, "trials": 64}, "full": {**_COMMON, "trials": 1024}}

PROCESSES = {
    "random walk": lambda d: ms.processes.random_walk(d),
    "impulses at 6, 12, 18": lambda d: ms.processes.burst(d, at=(6, 12, 18)),
    "shrinking, ratio 0.7": lambda d: ms.processes.geometric(d, ratio=0.7),
    "growing, ratio 1.25": lambda d: ms.processes.geometric(d, ratio=1.25),
}
OPEN = {
    "printed_paper": lambda d, c: bounds.printed_open_loop(d, c, index="paper"),
    "printed_sampling": lambda d, c: bounds.printed_open_loop(d, c, index="sampling"),
    "young": bounds.young_open_loop,
    "sharp": bounds.sharp_open_loop,
}
CLOSED = {
    "printed_paper": lambda d, c: bounds.printed_closed_loop(d, c, index="paper"),
    "printed_sampling": lambda d, c: bounds.printed_closed_loop(d, c, index="sampling"),
    "young": bounds.young_closed_loop,
    "sharp": bounds.sharp_closed_loop,
}
LOOPS = {"open_loop": OPEN, "closed_loop": CLOSED}


@dataclass(frozen=True, kw_only=True)
class Shrink(ms.Quantizer):
    """Q(x) = (1-q)x: assumption (29) as an equality, with c = q²."""

    laws = Laws(error=None, c="tight", idempotent=False, sign_equivariant=True)
    has_codes = False
    bits: int = field(default=32, kw_only=False)
    q: float = 0.5

    def choose_qparams(self, a: Any) -> ms.QParams:
        """Return scales of 1: the quantizer has no range."""
        return ms.QParams(np.ones(self.granularity.scale_shape(tuple(a.shape))))

    def quantize(self, blocks: Any, qparams: ms.QParams, *, random: Any = None) -> Any:
        """Return (1-q)x."""
        return (1 - self.q) * blocks

    def c(self, d: int) -> float:
        """The contraction in the squared 2-norm."""
        return self.q**2

    def kappa(self, d: int) -> float:
        """The contraction in the max norm."""
        return self.q


def data(effort: str) -> dict[str, np.ndarray]:
    """Return per process and recursion the error (steps, trials), the bounds per trial, and where each is exceeded."""
    p = PARAMS[effort]
    out: dict[str, np.ndarray] = {"c": np.array(ms.AbsMax(p["bits"]).c(p["d"])), "steps": np.arange(p["steps"])}
    for i, make in enumerate(PROCESSES.values()):
        for name in style.LOOPS:
            out |= {f"{i}_{key}": value for key, value in measured(make(p["d"]), name, p).items()}
    return out


def measured(process: ms.processes.Process, name: str, p: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return for one process the error of a recursion (steps, trials), and where it has bounds, these and the rest."""
    Q = ms.AbsMax(p["bits"])
    c = Q.c(p["d"])
    r = ms.simulate(process, Q, name, steps=p["steps"], trials=p["trials"], seed=p["seed"])
    out = {name: r.error}
    if name not in LOOPS:
        return out
    # the same norms along one direction: a_k = (d_1 + ... + d_k)·e_1, so that errors add up without cancelling
    line = np.zeros((p["steps"], p["trials"], 2))
    line[..., 0] = np.cumsum(r.d, axis=0)
    worst = ms.simulate(ms.processes.recorded(line), Shrink(q=np.sqrt(c)), name, steps=p["steps"], trials=p["trials"])
    out[f"{name}_worst"] = worst.error
    for label, of in LOOPS[name].items():
        limit = of(r.d[1:], c)
        # k·eps, because every call rounds the running value, which is below max|a|, a few times
        slack = 16 * p["steps"] * np.finfo(float).eps * r.a.max()
        above = np.maximum(r.error, worst.error)[1:] > limit + slack
        out[f"{name}_{label}"] = np.median(limit, axis=1)
        out[f"{name}_{label}_exceeded"] = above.any(axis=1)
    return out


def visible(values: np.ndarray) -> np.ndarray:
    """Replace zeros by gaps, since a logarithmic axis cannot show them."""
    return np.where(values > 0, values, np.nan)


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw errors and bounds per process, with strips where printed bounds are exceeded."""
    steps, calls = data["steps"], data["steps"][1:]
    figure, axes = style.grid(
        5, len(PROCESSES), height=8.4, sharex=True, sharey="row", gridspec_kw={"height_ratios": [5, 6, 0.8, 6, 0.8]}
    )
    for column, title in enumerate(PROCESSES):
        axes[0, column].set_title(title)
        for name in style.LOOPS:
            values = visible(data[f"{column}_{name}"])
            style.spread(axes[0, column], steps, values, style.RECURSION[name], every=4)
        for (name, known), row, number in zip(LOOPS.items(), (1, 3), ("(30)", "(31)"), strict=True):
            panel, strip = axes[row, column], axes[row + 1, column]
            style.spread(panel, calls, visible(data[f"{column}_{name}"][1:]), style.RECURSION[name], every=4)
            for label in known:
                style.bound(panel, calls, visible(data[f"{column}_{name}_{label}"]), style.BOUND[label])
            worst = visible(np.median(data[f"{column}_{name}_worst"], axis=1))
            panel.plot(steps[2::2], worst[2::2], "o", mfc="white", mec="black", mew=0.8, ms=3.6, zorder=4)
            for y, reading in enumerate(("sampling", "paper")):
                exceeded = data[f"{column}_{name}_printed_{reading}_exceeded"]
                strip.bar(calls[exceeded], 0.6, width=0.8, bottom=y - 0.3, color=style.ALARM)
            strip.set_ylim(-0.5, 1.5)
            strip.set_yticks([0, 1], [f"{number}, sampling order", f"{number}, paper's index"])
            if not any(data[f"{column}_{name}_printed_{reading}_exceeded"].any() for reading in ("sampling", "paper")):
                strip.text(0.5, 0.5, "never exceeded", transform=strip.transAxes, ha="center", va="center", fontsize=8)
            strip.tick_params(axis="both", length=0)
            strip.grid(visible=False)
            for side in ("left", "bottom"):
                strip.spines[side].set_visible(False)
    for row, limits in ((0, (1e-3, 1e3)), (1, (1e-1, 1e4)), (3, (1e-3, 1e3))):
        style.logarithmic(*axes[row])
        axes[row, 0].set_ylim(limits)
    axes[0, 0].set_xlim(0, steps[-1] + 0.5)
    axes[0, 0].set_xticks(range(0, int(steps[-1]) + 1, 6))
    for row, text in ((0, "three recursions"), (1, "open loop and (30)"), (3, "closed loop and (31)")):
        axes[row, 0].set_ylabel(f"error, {text}")
    for panel in axes[-1]:
        panel.set_xlabel("model call")
    style.legend(figure, _keys(), columns=3)
    return figure


def _keys() -> list[Any]:
    return [
        *(style.key(style.RECURSION[n]) for n in style.LOOPS),
        Line2D([], [], ls="", marker="o", mfc="white", mec="black", mew=0.8, label=r"worst case, $Q(x)=(1-\sqrt{c})x$"),
        style.key(style.BOUND["sharp"]),
        style.key(style.BOUND["young"]),
        style.key(style.BOUND["printed_paper"]),
        style.key(style.BOUND["printed_sampling"]),
        Patch(color=style.ALARM, label="printed bound exceeded"),
    ]
