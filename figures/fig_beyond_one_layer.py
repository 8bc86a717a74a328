"""Beyond one layer with a dynamic scale: static scales, stored outputs, chains of layers, and the loop they lie in."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import modiff_sim as ms
from modiff_sim import bounds
from modiff_sim import recursion as rec
from modiff_sim.plot import style

TITLE = "Beyond one layer: what else adds error, and what bounds it"
CAPTION = (
    "All in the max norm; coloured and grey markers are runs, lines are bounds, hollow circles are sequences made to "
    "attain a bound. (a) A static scale s at 4 bits reaches qmax·s = 7 s per call. While differences (bars) exceed it, "
    "the closed loop builds up a backlog, which it works off afterwards like a queue, 7 s per call less what comes in; "
    "what the open loop loses stays lost. (b) Drift of the stored output ô (â exact), not compensated, for three float "
    "types: RMS over random outputs of size 10·||d||, which grows like the root of the calls, under the bound, which "
    "grows linearly (while it is small against the outputs). Above the blue line rounding ô costs more than quantizing "
    "at 4 bits. (c) Total error in a chain of eight ReLU layers of gain 1 (median and 5–95 % of random chains): the "
    "bound grows by (1+κ)/(1-κ) per layer, random layers average their errors out. (d) Where errors come back with a "
    "loop gain L, the worst case is bounded below the lines, for the closed loop while κ(1+2L) < 1; without "
    "compensation nowhere. Runs of the linear closed loop: hollow circles stay bounded, crosses grow for ever."
)
ALT = (
    "Four panels. A static scale builds up a backlog while differences are too large, which the closed loop works off "
    "in straight lines and the open loop keeps. The drift of a stored output grows with the calls, least in float32. "
    "In a chain of layers the bound grows from layer to layer and the error of random chains falls. Over bits and "
    "loop gain, linear loops stay bounded below a rising line and grow for ever above it."
)
CLAIMS = (
    "static_slope_overload", "static_no_overload_half_step", "accumulator_drift", "chain_of_layers",
    "small_gain_sufficient", "small_gain_linear_example_diverges", "open_loop_small_gain",
)  # fmt: skip
#: how a part of the caption begins -> the panel that it is about
PARTS = {"(a) ": "a", "(b) ": "b", "(c) ": "c", "(d) ": "d"}
BITS, CHAIN_BITS, TYPES = 4, (2, 4, 8), ("bfloat16", "float16", "float32")
_COMMON = {"seed": 0, "bits": BITS, "chain_bits": list(CHAIN_BITS), "types": list(TYPES), "layers": 8, "width": 16}
PARAMS: dict[str, dict[str, Any]] = {
    "quick": {**_COMMON, "calls": 1000, "outputs": 200, "chain_calls": 24, "trials": 8, "loop_calls": 120},
    "full": {**_COMMON, "calls": 1000, "outputs": 2000, "chain_calls": 60, "trials": 64, "loop_calls": 400},
}


def _errors(recursion: str, inputs: np.ndarray, Q: ms.Quantizer) -> np.ndarray:
    """Return ||a - ô||_inf of every call, (calls, trials)."""
    calls = rec.run(recursion, inputs, Q)
    return np.stack([np.abs(a - info.output).max(axis=-1) for a, (_, info) in zip(inputs, calls, strict=True)])


def _overload() -> dict[str, np.ndarray]:
    """Run a burst of differences in one direction, in units of s, with a tie at half a step in between."""
    d = np.array([0.5] + [2.0] * 4 + [18.0, 14.0, 16.0, 11.0] + [1.0] * 14 + [9.0, 10.0] + [2.0] * 5)
    inputs = np.concatenate([[0.0], np.cumsum(d)])[:, None, None]
    out = {"burst_d": d}
    for name in ("closed_loop", "open_loop"):
        out[f"burst_{name}"] = _errors(name, inputs, ms.Static(BITS, scale=1.0))[1:, 0]
    return out | {"burst_bound": bounds.static_closed_loop(d, 1.0, BITS)}


def _drift(p: dict[str, Any]) -> dict[str, np.ndarray]:
    """Run outputs of size 10 with changes of size 1, and measure what the accumulator of each type loses of them."""
    rng = np.random.default_rng(p["seed"])
    o = 10 * np.sin(np.cumsum(rng.uniform(-0.1, 0.1, (p["calls"] + 1, p["outputs"])), axis=0) + np.pi / 2)
    x, out = np.diff(o, axis=0), {}
    for dtype in TYPES:
        start = bounds.rounded(o[0], dtype)
        lost = bounds.accumulate(start, x, dtype) - (start + np.cumsum(x, axis=0))
        out[f"drift_{dtype}"] = np.sqrt(np.mean(lost**2, axis=1))
        out[f"drift_{dtype}_bound"] = bounds.accumulator_drift(np.full(len(x), 10.0), np.ones(len(x)), dtype)
    kappa = ms.AbsMax(BITS).kappa(2)
    return out | {"quantization": np.array(kappa / (1 - kappa))}


def _chain(p: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the total error per layer at the last call, (trials, layers), and its bound for differences of size 1."""
    rng = np.random.default_rng(p["seed"])
    layers, width = p["layers"], p["width"]
    W = rng.standard_normal((p["trials"], layers - 1, width, width))
    W /= np.abs(W).sum(axis=-1).max(axis=-1)[..., None, None]  # ||W||_{inf→inf} = 1
    steps = rng.uniform(-1, 1, (p["chain_calls"], p["trials"], width))
    steps /= np.abs(steps).max(axis=-1, keepdims=True)
    inputs = np.cumsum(steps, axis=0)
    closed, out = rec.Scheme("closed_loop"), {}
    for bits in CHAIN_BITS:
        Q, kappa = ms.AbsMax(bits), ms.AbsMax(bits).kappa(width)
        states: list[rec.State | None] = [None] * layers
        for a in inputs:
            true = fed = a
            errors = []
            for layer in range(layers):
                states[layer], info = closed.advance(states[layer], fed, Q)
                errors.append(np.abs(true - info.output).max(axis=-1))
                if layer < layers - 1:
                    M = W[:, layer].swapaxes(-1, -2)
                    true, fed = (np.maximum((v[:, None] @ M)[:, 0], 0) for v in (true, info.output))
        out[f"chain_{bits}"] = np.stack(errors, axis=1)
        out[f"chain_{bits}_bound"] = bounds.chain_steady_state(np.ones(layers), kappa, np.ones(layers - 1))
        out[f"chain_{bits}_worst"] = _worst_chain(kappa, layers, p["chain_calls"])
    return out


def _worst_chain(kappa: float, layers: int, calls: int) -> np.ndarray:
    """Return the total error per layer at the last call for Q(x) = (1+κ)x, gains 1 and alternating differences."""
    a, a_hat = 0.0, np.zeros(layers)
    for t in range(calls):
        a += (-1) ** t
        fed = a
        for layer in range(layers):
            a_hat[layer] += (1 + kappa) * (fed - a_hat[layer])
            fed = a_hat[layer]
    return np.abs(a - a_hat)


def _linear_loop(kappa: float, L: float, calls: int) -> np.ndarray:
    """Return |e_t| for η_t = -L·e_{t-1}, Q(x) = (1+κ)x and alternating differences of size 1."""
    a = a_hat = e = 0.0
    errors = []
    for t in range(calls):
        a += (-1) ** t
        fed = a + L * e
        a_hat += (1 + kappa) * (fed - a_hat)
        e = fed - a_hat
        errors.append(abs(e))
        if abs(e) > 1e9:
            break
    return np.array(errors)


def _loop(p: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the gains that each recursion allows per number of bits, and where the linear example grows."""
    bits, gains = np.arange(2, 9), 2.0 ** np.arange(-2, 9)
    kappa = [ms.AbsMax(int(b)).kappa(2) for b in bits]
    runs = [[_linear_loop(k, L, p["loop_calls"]) for L in gains] for k in kappa]
    grows = np.array([[bool(e[-1] - e[-2] > 1e-4) for e in row] for row in runs])
    out = {"loop_bits": bits, "loop_gains": gains, "loop_grows": grows}
    for name in ("closed_loop", "direct"):
        out[f"loop_{name}"] = np.array([bounds.loop_gain_limit(k, name) for k in kappa])
    return out


def data(effort: str) -> dict[str, np.ndarray]:
    """Return the data of all four panels."""
    p = PARAMS[effort]
    return _overload() | _drift(p) | _chain(p) | _loop(p)


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw the four panels."""
    figure, axes = style.grid(2, 2, height=7.6)
    _plot_overload(axes[0, 0], data)
    _plot_drift(axes[0, 1], data)
    _plot_chain(axes[1, 0], data)
    _plot_loop(axes[1, 1], data)
    keys = [
        style.key(style.RECURSION["closed_loop"]),
        style.key(style.RECURSION["open_loop"]),
        style.key(style.RECURSION["direct"]),
        Line2D([], [], color=style.BOUND["max_norm"].colour, label="bound, max norm"),
        Line2D([], [], label="attains the bound", **_WORST),
        Line2D([], [], ls="", marker="x", color="black", ms=4, label="grows for ever"),
    ]
    style.legend(figure, keys, columns=3)
    return figure


_WORST: dict[str, Any] = {"ls": "", "marker": "o", "mfc": "white", "mec": "black", "mew": 0.8, "ms": 3.6, "zorder": 4}


def _plot_overload(panel: Axes, data: dict[str, np.ndarray]) -> None:
    calls = np.arange(1, len(data["burst_d"]) + 1)
    panel.bar(calls, data["burst_d"], color=style.GRID, width=0.8, zorder=1)
    style.bound(panel, calls, data["burst_bound"], style.BOUND["max_norm"])
    for name in ("open_loop", "closed_loop"):
        look = style.RECURSION[name]
        panel.plot(calls, data[f"burst_{name}"], color=look.colour, ls="", marker=look.marker, zorder=4)
    panel.axhline(7, color="black", lw=0.8, ls=":")
    panel.text(calls[-1] + 0.8, 7.5, "reach qmax·s", ha="right", fontsize=style.SMALLEST)
    panel.set_xlim(0, calls[-1] + 1)
    panel.set_ylim(0, 42)
    panel.set_xlabel("model call (bars: size of the difference)")
    panel.set_ylabel("error, in steps s")
    panel.set_title("(a) static scale: overload is a backlog")


_TYPE = dict(zip(TYPES, zip("^so", style.NEUTRAL, strict=True), strict=True))


def _plot_drift(panel: Axes, data: dict[str, np.ndarray]) -> None:
    style.logarithmic(panel)
    style.logarithmic(panel, which="x")
    calls = np.arange(1, len(data["drift_float16"]) + 1)
    shown = np.unique(np.geomspace(1, len(calls), 40).astype(int)) - 1
    for dtype, (marker, colour) in _TYPE.items():
        rms = data[f"drift_{dtype}"][shown]
        bound = data[f"drift_{dtype}_bound"]
        style.bound(panel, calls, bound, style.Look(f"bound, {dtype}", colour, ":"))
        panel.text(1.15 * calls[-1], bound[-1], "bound", va="center", fontsize=style.SMALLEST)
        panel.plot(calls[shown], rms, color=colour, marker=marker, markevery=3, lw=1)
        panel.text(1.15 * calls[-1], rms[-1], dtype, va="center", fontsize=style.SMALLEST)
    level = float(data["quantization"])
    panel.axhline(level, color=style.RECURSION["closed_loop"].colour, lw=2.2)
    panel.text(1.1, 3 * level, "4-bit error", fontsize=style.SMALLEST)
    panel.set_xlim(1, calls[-1])
    panel.set_ylim(1e-8, 1e3)
    panel.set_xlabel("model call")
    panel.set_ylabel("drift of ô, over max |d|")
    panel.set_title("(b) stored output: drift is not compensated")


def _plot_chain(panel: Axes, data: dict[str, np.ndarray]) -> None:
    style.logarithmic(panel)
    look = style.RECURSION["closed_loop"]
    for bits in CHAIN_BITS:
        errors, bound = data[f"chain_{bits}"], data[f"chain_{bits}_bound"]
        layers = np.arange(1, len(bound) + 1)
        style.bound(panel, layers, bound, style.BOUND["max_norm"])
        panel.plot(layers, data[f"chain_{bits}_worst"], **_WORST)
        low, middle, high = np.quantile(errors, [0.05, 0.5, 0.95], axis=0)
        panel.errorbar(layers, middle, (middle - low, high - middle), fmt=look.marker, color=look.colour, ms=4, lw=1)
        panel.plot(layers, middle, color=look.colour, lw=0.8)
        for y in (bound[-1], middle[-1]):
            panel.text(layers[-1] + 0.25, y, f"{bits} bits", va="center", fontsize=style.SMALLEST)
    panel.set_xlim(0.5, layers[-1] + 1.4)
    panel.set_xticks(layers)
    panel.set_xlabel("layer")
    panel.set_ylabel("total input error, over max |d|")
    panel.set_title("(c) chain of layers of gain 1")


def _plot_loop(panel: Axes, data: dict[str, np.ndarray]) -> None:
    style.logarithmic(panel)
    bits, gains = data["loop_bits"], data["loop_gains"]
    blue = style.RECURSION["closed_loop"].colour
    panel.fill_between(bits, gains[0] / 2, data["loop_closed_loop"], color=blue, alpha=0.15, lw=0)
    for name in ("closed_loop", "direct"):
        panel.plot(bits, data[f"loop_{name}"], color=style.RECURSION[name].colour)
    x, y = np.broadcast_arrays(bits[:, None], gains)
    grows = data["loop_grows"]
    panel.plot(x[~grows], y[~grows], **_WORST)
    panel.plot(x[grows], y[grows], ls="", marker="x", color="black", ms=4, mew=0.8)
    panel.set_ylim(gains[0] / 1.5, gains[-1] * 1.5)
    panel.set_xlim(bits[0] - 0.3, bits[-1] + 0.3)
    panel.set_xlabel("bits")
    panel.set_ylabel("loop gain L")
    panel.set_title("(d) loop of gain L: bounded below the line")
