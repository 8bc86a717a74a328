"""The exact worst case over all contractive quantizers, by semidefinite programming, against every 2-norm bound.

Without PEPit (extra [theory]) only the formulas are drawn, and the legend says so.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from modiff_sim import bounds, certificates
from modiff_sim.bounds.certificates import Budget
from modiff_sim.plot import style

TITLE = "Exact worst cases: the sharp bounds are what can happen"
CAPTION = (
    "Circles: the largest error that any quantizer with ||x-Q(x)||² ≤ c||x||² can cause, by semidefinite "
    "programming; lines: bounds. Upper row: against the number n of differences, all of norm 1, c = 0.6, with "
    "compensation or without, as the titles say. Lower left: how much too large the bounds for compensation are for "
    "five such differences; below 1 a bound is false. Lower right: error over bound at the differences that are "
    "worst for that bound (n = 5), where the lines are closed formulas: (31) as printed, read in sampling order, is "
    "exceeded from c = 0.52 on; the corrected bounds are attained, and never exceeded. Circles are absent where "
    "PEPit is not installed."
)
ALT = (
    "Four panels of curves with circles on them. The circles, exact worst cases, lie on the sharp bound with and "
    "without compensation, below the curves of Young's inequality. In the last panel the printed bound's curve of "
    "worst error over bound rises above 1 at a c of about one half, into the shaded region where a bound is false; "
    "all others lie at exactly 1."
)
CLAIMS = (
    "printed_31_sampling_order", "printed_31_condition", "corrected_31", "young_ef21_constants",
    "certificate_closed_loop", "certificate_open_loop", "certificate_slack",
)  # fmt: skip
#: how a part of the caption begins -> the panels that it is about; "" where it goes on about all
PARTS = {"Upper row: ": "ab", "Lower left: ": "c", "Lower right: ": "d", "Circles are absent": ""}
_COMMON = {"seed": 0, "c": 0.6, "last": 10, "n": 5, "pepit": certificates.available()}
PARAMS: dict[str, dict[str, Any]] = {
    "quick": {**_COMMON, "lengths": [1, 2, 4, 7], "contractions": [0.1, 0.4, 0.9]},
    "full": {**_COMMON, "lengths": [1, 2, 3, 4, 6, 8, 10], "contractions": [0.1, 0.25, 0.4, 0.7, 0.9]},
}
CLOSED = {
    "sharp": bounds.sharp_closed_loop,
    "young": bounds.young_closed_loop,
    "ef21": partial(bounds.young_closed_loop, beta="ef21"),
    "printed_sampling": partial(bounds.printed_closed_loop, index="sampling"),
}
OPEN = {
    "sharp": bounds.sharp_open_loop,
    "young": bounds.young_open_loop,
    "printed_sampling": partial(bounds.printed_open_loop, index="sampling"),
}
GRID = np.linspace(0.02, 0.98, 49)


def _weights(bound: Any, n: int, c: float) -> np.ndarray:
    """Return w_k of a bound Σ_k w_k ||d_k||². Doubling one difference adds 3w_k to the bound."""
    return (bound(np.ones((n, n)) + np.eye(n), c)[-1] ** 2 - bound(np.ones((n, 1)), c)[-1] ** 2) / 3


def _worst(name: str, n: int, c: np.ndarray) -> np.ndarray:
    """Return the largest possible ratio of error to bound, in closed form."""
    return np.sqrt(c * (2 - 2.0 ** (1 - n))) if name == "printed_sampling" else np.ones_like(c)


def data(effort: str) -> dict[str, np.ndarray]:
    """Return bounds on grids, and certificates ("dots_...", NaN without PEPit) at the values of PARAMS."""
    p = PARAMS[effort]
    ones, n = np.ones(p["last"]), p["n"]

    def exact(loop: str, *arguments: Any, **options: Any) -> float:
        return getattr(certificates, loop)(*arguments, **options).value if p["pepit"] else np.nan

    out: dict[str, np.ndarray] = {
        "lengths": np.array(p["lengths"]), "contractions": np.array(p["contractions"]), "n": np.array(n),
        "c": np.array(p["c"]),
    }  # fmt: skip
    for loop, known in (("closed_loop", CLOSED), ("open_loop", OPEN)):
        out[f"dots_{loop}"] = np.array([exact(loop, k, p["c"]) for k in p["lengths"]])
        for name, bound in known.items():
            out[f"{loop}_{name}"] = bound(ones, p["c"])
    worst = np.array([exact("closed_loop", n, c) for c in p["contractions"]])
    for name, bound in CLOSED.items():
        sharp = np.array([bounds.sharp_closed_loop(np.ones(n), c)[-1] for c in GRID])
        out[f"slack_{name}"] = np.array([bound(np.ones(n), c)[-1] for c in GRID]) / sharp
        out[f"dots_slack_{name}"] = np.array([bound(np.ones(n), c)[-1] for c in p["contractions"]]) / worst
        if name != "sharp":  # it is not a sum of squares, and every profile attains it
            budgets = [Budget(1.0, _weights(bound, n, c)) for c in p["contractions"]]
            found = [exact("closed_loop", n, c, d=b) for c, b in zip(p["contractions"], budgets, strict=True)]
            out[f"dots_worst_{name}"] = np.array(found)
        out[f"worst_{name}"] = _worst(name, n, GRID)
    return out


_DOT: dict[str, Any] = {"ls": "", "marker": "o", "mfc": "white", "mec": "black", "mew": 0.9, "ms": 5, "zorder": 4}


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw bounds and certificates against n and c."""
    figure, axes = style.grid(2, 2, height=7.2)
    n = int(data["n"])
    for panel, loop, known, title in (
        (axes[0, 0], "closed_loop", CLOSED, "with compensation (MoDiff)"),
        (axes[0, 1], "open_loop", OPEN, "without compensation"),
    ):
        calls = np.arange(1, len(data[f"{loop}_sharp"]) + 1)
        for name in reversed(known):
            style.bound(panel, calls, data[f"{loop}_{name}"], style.BOUND[name])
        panel.plot(data["lengths"], data[f"dots_{loop}"], **_DOT)
        panel.set_ylim(bottom=0)
        panel.set_title(f"worst error {title}, c = {data['c']:g}")
        panel.set_xlabel("number of differences n, each of norm 1")
        panel.set_ylabel("2-norm of the error")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    for panel, kind in ((axes[1, 0], "slack"), (axes[1, 1], "worst")):
        for name in reversed(CLOSED):
            style.bound(panel, GRID, data[f"{kind}_{name}"], style.BOUND[name])
            if f"dots_{kind}_{name}" in data:
                panel.plot(data["contractions"], data[f"dots_{kind}_{name}"], **_DOT)
        panel.set_xlim(0, 1)
        panel.set_xlabel("contraction c of the quantizer")
    slack, worst = axes[1]
    slack.set_ylim(0, 4)
    slack.axhspan(0, 1, color=style.ALARM, alpha=0.12, lw=0)
    slack.set_title(f"with compensation, equal differences, n = {n}")
    slack.set_ylabel("bound / worst error")
    worst.set_ylim(0, 1.6)
    worst.axhspan(1, 1.6, color=style.ALARM, alpha=0.12, lw=0)
    worst.set_title(f"with compensation, each bound's worst differences, n = {n}")
    worst.set_ylabel("worst error / bound")
    worst.text(0.03, 1.45, "all but the printed one: exactly 1", fontsize=style.SMALLEST)
    style.legend(figure, _keys(np.isfinite(data["dots_closed_loop"]).all()), columns=3)
    return figure


def _keys(certified: bool) -> list[Any]:
    text = "exact worst case (semidefinite program)" if certified else "exact worst case: needs PEPit"
    return [
        Line2D([], [], label=text, **_DOT),
        *(style.key(style.BOUND[name]) for name in CLOSED),
        Patch(color=style.ALARM, alpha=0.12, lw=0, label="the bound is false"),
    ]
