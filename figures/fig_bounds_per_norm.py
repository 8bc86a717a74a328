"""The closed loop's error and its bound in both norms: with the dimension the 2-norm's grows, the max norm's does not.

Differences have norm 1 in the norm of the panel, so that all trials share one bound. Its steady state is q/(1-q), with
q = √c(d), in the 2-norm, and κ/(1-κ) in the max norm.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import modiff_sim as ms
from modiff_sim import bounds
from modiff_sim.plot import style

TITLE = "Error and bound per norm"
CAPTION = (
    "Closed loop, absmax, exact start, random differences of norm 1 in the panel's norm. Upper rows: error per model "
    "call at d = 1024 (median, 5–95 % of trials), in the 2-norm against the sharp bound with the declared c(d), and "
    "in the max norm against the bound with κ = 1/(2·qmax). Hollow circles: the alternating sequence at d = 2, which "
    "attains the max-norm bound at every call. Bottom: error at the last call and steady state of the bound, q/(1-q) "
    "with q = √(c(d)), and κ/(1-κ): the former grows with the dimension, the latter does not."
)
ALT = (
    "Error curves with their bounds at 2, 3, 4 and 8 bits. In the 2-norm the bound lies ten times and more above the "
    "error at low bits; in the max norm error, bound and the alternating sequence nearly coincide. Below, the steady "
    "state in the 2-norm rises with the dimension, and in the max norm it is one curve for all dimensions."
)
CLAIMS = ("max_norm_closed_loop", "closed_loop_steady_state")
#: how a part of the caption begins -> the panels that it is about
PARTS = {"Upper rows: ": "abcdefgh", "Hollow circles: ": "efgh", "Bottom: ": "ij"}
BITS = (2, 3, 4, 8)
_COMMON = {"seed": 0, "d": 1024, "bits": list(BITS), "all_bits": [2, 3, 4, 5, 6, 7, 8], "dims": [16, 256, 4096]}
PARAMS: dict[str, dict[str, Any]] = {
    "quick": {**_COMMON, "steps": 31, "trials": 16},
    "full": {**_COMMON, "steps": 41, "trials": 96},
}


def _unit(d: int, order: float) -> ms.processes.Process:
    """Make a process of random directions, whose differences have norm 1, so that all trials share one bound."""

    def draw(rng: np.random.Generator, trials: int, steps: int) -> Iterator[np.ndarray]:
        a = 10 * rng.standard_normal((trials, d))
        for _ in range(steps):
            yield a
            step = rng.standard_normal((trials, d))
            a = a + step / np.linalg.norm(step, ord=order, axis=1, keepdims=True)

    return ms.processes.Process("unit_differences", d, {"order": order}, draw)


def _errors(bits: int, d: int, norm: str, p: dict[str, Any]) -> np.ndarray:
    """Return the closed loop's error (steps, trials) in a norm, for differences of norm 1 in that norm."""
    process = _unit(d, 2 if norm == "2" else np.inf)
    r = ms.simulate(process, ms.AbsMax(bits), steps=p["steps"], trials=p["trials"], seed=p["seed"])
    return r.error if norm == "2" else r.error_inf


def data(effort: str) -> dict[str, np.ndarray]:
    """Return errors per call and trial with their bound, per norm and bits, and the last errors per dimension."""
    p = PARAMS[effort]
    out: dict[str, np.ndarray] = {"steps": np.arange(p["steps"]), "dims": np.array(p["dims"])}
    out["all_bits"] = np.array(p["all_bits"])
    ones = np.ones(p["steps"] - 1)
    for bits in BITS:
        Q = ms.AbsMax(bits)
        for norm in ("2", "inf"):
            out[f"{bits}_{norm}"] = _errors(bits, p["d"], norm, p)
        out[f"{bits}_2_bound"] = bounds.sharp_closed_loop(ones, Q.c(p["d"]))
        out[f"{bits}_inf_bound"] = bounds.max_norm_closed_loop(ones, Q.kappa(p["d"]))
        worst = ms.simulate(ms.processes.alternating(2, bits=bits), Q, steps=p["steps"], trials=1)
        if not np.allclose(worst.d_inf[1:], 1, rtol=1e-12):  # otherwise its bound would not be that of the panel
            raise AssertionError("the alternating sequence no longer has differences of max norm 1")
        out[f"{bits}_worst"] = worst.error_inf[:, 0]
    for norm in ("2", "inf"):
        out[f"last_{norm}"] = np.array([[_errors(b, d, norm, p)[-1] for b in p["all_bits"]] for d in p["dims"]])
    q = np.sqrt([[ms.AbsMax(bits).c(d) for bits in p["all_bits"]] for d in p["dims"]])
    kappa = np.array([[ms.AbsMax(bits).kappa(d) for bits in p["all_bits"]] for d in p["dims"]])
    return out | {"steady_2": q / (1 - q), "steady_inf": kappa / (1 - kappa)}


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw errors and bounds per norm, and the steady states by dimension."""
    figure = Figure(figsize=(style.WIDTH, 8.2), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[5, 3])
    axes = upper.subplots(2, len(BITS), sharex=True, sharey="row")
    steady = lower.subplots(1, 2)
    calls = data["steps"][1:]
    for i, (norm, known, name) in enumerate((("2", "sharp", "2-norm"), ("inf", "max_norm", "max norm"))):
        style.logarithmic(*axes[i])
        for bits, panel in zip(BITS, axes[i], strict=True):
            key = f"{bits}_{norm}"
            style.bound(panel, calls, data[f"{key}_bound"], style.BOUND[known])
            style.spread(panel, calls, data[key][1:], style.RECURSION["closed_loop"], every=5)
            if norm == "inf":
                panel.plot(calls[::3], data[f"{bits}_worst"][1::3], **_WORST)
        axes[i, 0].set_ylim((1e-3, 1e2) if norm == "2" else (1e-3, 2))
        axes[i, 0].set_ylabel(f"error, {name}")
        _steady(steady[i], data, norm, style.BOUND[known], name)
    for bits, top, bottom in zip(BITS, *axes, strict=True):
        top.set_title(f"{bits} bits")
        bottom.set_xlabel("model call")
    axes[0, 0].set_xlim(0, data["steps"][-1])
    style.legend(figure, _keys(data["dims"]), columns=4)
    return figure


_WORST: dict[str, Any] = {"ls": "", "marker": "o", "mfc": "white", "mec": "black", "mew": 0.8, "ms": 3.6, "zorder": 4}
_DIM = [("o", style.NEUTRAL[0]), ("s", style.NEUTRAL[1]), ("^", style.NEUTRAL[2])]


def _steady(panel: Any, data: dict[str, np.ndarray], norm: str, look: style.Look, name: str) -> None:
    bits = data["all_bits"]
    style.logarithmic(panel)
    for i, d in enumerate(data["dims"]):
        limit = data[f"steady_{norm}"][i]
        if norm == "2" or i == 0:  # in the max norm all dimensions share one line
            panel.plot(bits, limit, color=look.colour, lw=0.6)
            panel.hlines(limit, bits - 0.35, bits + 0.35, color=look.colour, lw=1.8)
            text = f"d = {d}" if norm == "2" else "every d"
            panel.text(bits[-1] + 0.45, limit[-1], text, va="center", fontsize=style.SMALLEST)
        low, middle, high = np.quantile(data[f"last_{norm}"][i], [0.05, 0.5, 0.95], axis=1)
        marker, colour = _DIM[i]
        x = bits + 0.2 * (i - 1)
        panel.errorbar(x, middle, (middle - low, high - middle), fmt=marker, color=colour, ms=4, lw=1)
    panel.set_xlim(bits[0] - 0.5, bits[-1] + 1.6)
    panel.set_xticks(bits)
    panel.set_xlabel("bits")
    panel.set_ylabel(f"error, {name}")
    panel.set_title(f"steady state, {name}")


def _keys(dims: np.ndarray) -> list[Any]:
    marks = [
        Line2D([], [], ls="", marker=m, color=c, label=f"last call, d = {d}", ms=4)
        for (m, c), d in zip(_DIM, dims, strict=True)
    ]
    return [
        style.key(style.RECURSION["closed_loop"]),
        Line2D([], [], label="alternating sequence, d = 2", **_WORST),
        style.key(style.BOUND["sharp"]),
        style.key(style.BOUND["max_norm"]),
        *marks,
    ]
