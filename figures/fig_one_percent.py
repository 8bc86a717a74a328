"""One per cent of error per call over 100 calls: what it is per cent of, where it adds up, and where it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import modiff_sim as ms
from modiff_sim.plot import style

from .fig_error_growth import Shrink

TITLE = "One per cent per call: it adds up without compensation alone, and compounds nowhere"
CAPTION = (
    "Error of one layer (A = 1) after n differences, exact start, whose quantizer loses e = 1 % of what it is given. "
    "Left: Q(x) = 0.99 x and differences of one size. Errors are in parts of what is quantized: the input for direct "
    "quantization, one difference for the loops. Without compensation losses in one direction add up to n % of a "
    "difference (the worst case), orthogonal ones to √n %; direct quantization stays at 1 % of the input, the "
    "closed loop below e/(1-e) = 1.01 % of a difference (the two lines lie on each other). Dotted: 1.01^n - 1, what "
    "1 % would compound to, which is the error of none of them. Right: a grid, absmax at 8 bits, which loses the e of "
    "the title, d = 1024; inputs keep their size and change by the share ρ = 0.1 of it per call, so that the closed "
    "loop's error is a tenth of direct's, and the open loop has used up that advantage after 1/ρ² = 100 calls. Median "
    "and 5–95 % of the trials; formulas: e, eρ√n and eρ/√(1-e²). Errors that come back through the network are no part "
    "of this."
)
ALT = (
    "Left, error against the number of differences: the worst open loop rises to 100 % of a difference and orthogonal "
    "losses to 10 %, below a dotted curve of compounding that reaches 170 %; direct quantization and the closed loop "
    "stay flat at 1 %. Right, an 8-bit grid: direct stays level, the closed loop at a tenth of it, and the open loop "
    "rises from there to direct's error at 100 calls."
)
CLAIMS = ("one_percent_per_call",)
#: how a part of the caption begins -> the panels that it is about; "" where it goes on about all
PARTS = {"Left: ": "a", "Right: ": "b", "Errors that come back": ""}
_COMMON = {"seed": 0, "e": 0.01, "n": 100, "bits": 8, "d": 1024, "rho": 0.1}
PARAMS: dict[str, dict[str, Any]] = {"quick": {**_COMMON, "trials": 16}, "full": {**_COMMON, "trials": 128}}


def _steps(differences: np.ndarray) -> ms.processes.Process:
    """Make the inputs of these differences (n, d) from a zero start."""
    inputs = np.concatenate([np.zeros_like(differences[:1]), np.cumsum(differences, axis=0)])
    return ms.processes.recorded(inputs[:, None])


def data(effort: str) -> dict[str, np.ndarray]:
    """Return "worst_<loop>" and "orthogonal" (n,), "grid_<loop>" (n, trials), e of the grid, and the formulas."""
    p = PARAMS[effort]
    n, Q = p["n"], Shrink(q=p["e"])
    out = {key: np.array(p[key]) for key in ("e", "n", "rho", "bits")}
    apart = ms.simulate(_steps(np.eye(n)), Q, "open_loop", steps=n + 1, trials=1)
    out["orthogonal"] = apart.error[1:, 0]
    for loop in style.LOOPS:
        r = ms.simulate(_steps(np.ones((n, 1))), Q, loop, steps=n + 1, trials=1)
        size = r.a if loop == "direct" else r.d  # what is quantized, but for the closed loop's own error
        out[f"worst_{loop}"] = (r.error[1:] / size[1:])[:, 0]
        process = ms.processes.ar1(p["d"], phi=1 - p["rho"] ** 2 / 2)
        r = ms.simulate(process, ms.AbsMax(p["bits"]), loop, steps=n + 1, trials=p["trials"], seed=p["seed"])
        out[f"grid_{loop}"] = (r.error / r.a)[1:]
        out[f"loss_{loop}"] = np.sqrt(np.mean(r.c[1:]))
    return out


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw the exact quantizer in parts of what is quantized, and a grid in parts of the input."""
    figure, axes = style.grid(1, 2, height=4.4, gridspec_kw={"width_ratios": [1.25, 1]})
    _exact(axes[0, 0], data)
    _grid(axes[0, 1], data)
    looks = [style.RECURSION[loop] for loop in style.LOOPS]
    apart = Line2D([], [], label="open loop, orthogonal losses", **_APART)
    grey = Line2D([], [], color=style.NEUTRAL[1], lw=1, ls=(0, (4, 2)), label="formulas")
    naive = Line2D([], [], color=style.NEUTRAL[2], lw=1.2, ls=":", label="1 % that compounds")
    style.legend(figure, [*(style.key(look) for look in looks), apart, naive, grey], columns=3)
    return figure


_APART: dict[str, Any] = {"color": style.RECURSION["open_loop"].colour, "ls": "-", "marker": "^", "mfc": "white"}


def _exact(panel: Axes, data: dict[str, np.ndarray]) -> None:
    n, e = np.arange(1, int(data["n"]) + 1), float(data["e"])
    style.logarithmic(panel)
    panel.plot(n, (1 + e) ** n - 1, color=style.NEUTRAL[2], ls=":", lw=1.2)
    for i, loop in enumerate(style.LOOPS):
        look = style.RECURSION[loop]
        marks = (4 + 3 * i, 9)  # direct and the closed loop nearly coincide
        panel.plot(n, data[f"worst_{loop}"], color=look.colour, ls=look.line, marker=look.marker, markevery=marks)
    panel.plot(n, data["orthogonal"], markevery=(7, 9), **_APART)
    ends = (
        ((1 + e) ** n[-1] - 1, "{:.0f} %"),
        (data["worst_open_loop"][-1], "{:.0f} % of a difference"),
        (data["orthogonal"][-1], "{:.0f} % of a difference"),
    )
    both = f"{100 * data['worst_direct'][-1]:.0f} % of the input\n"  # the two curves nearly coincide
    both += f"{100 * data['worst_closed_loop'][-1]:.2f} % of a difference"
    for value, text in (*ends, (data["worst_direct"][-1], both)):
        words = text.format(100 * float(value))
        panel.text(n[-1] + 3, float(value), words, va="center", fontsize=style.SMALLEST)
    panel.set_xlim(0, n[-1] + 44)
    panel.set_xticks(range(0, int(n[-1]) + 1, 20))
    panel.set_ylim(5e-3, 4)
    panel.set_xlabel("n, differences since the start")
    panel.set_ylabel("error, in parts of what is quantized")
    panel.set_title("Q(x) = 0.99 x, differences of one size")


def _grid(panel: Axes, data: dict[str, np.ndarray]) -> None:
    n, rho = np.arange(1, int(data["n"]) + 1), float(data["rho"])
    style.logarithmic(panel)
    loss = {loop: float(data[f"loss_{loop}"]) for loop in style.LOOPS}
    formulas = {
        "direct": np.full(len(n), loss["direct"]),
        "open_loop": loss["open_loop"] * rho * np.sqrt(n),
        "closed_loop": np.full(len(n), rho * loss["closed_loop"] / np.sqrt(1 - loss["closed_loop"] ** 2)),
    }
    for i, loop in enumerate(style.LOOPS):
        look = style.RECURSION[loop]
        style.spread(panel, n, data[f"grid_{loop}"], look, every=(4 + 3 * i, 9))
        panel.plot(n, formulas[loop], color=style.NEUTRAL[1], lw=1, ls=(0, (4, 2)), zorder=4)
    panel.set_xlim(0, n[-1])
    panel.set_ylim(4e-4, 0.03)
    panel.set_xlabel("n, differences since the start")
    panel.set_ylabel("error, in parts of the input")
    panel.set_title(f"absmax, {int(data['bits'])} bits: e = {100 * np.mean(list(loss.values())):.1f} %")
