"""Growth of the error of the three recursions for four kinds of differences, with fitted exponents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import modiff_sim as ms
from analysis.experiments import recordings
from analysis.experiments.sizes import Effort, effort_of
from modiff_sim import bounds, growth
from modiff_sim.plot import style

from .fig_error_growth import Shrink
from .practice import ONE, described, params

BITS_TAKEN, OWN_BITS = ONE, 3
PLAIN_TITLE = "How errors grow"
TITLE = "How errors grow: with compensation they follow the latest differences, without it they add up"
TEXT = (
    "Error of one layer (A = 1) after n differences, exact start: median and 5–95 % of the trials; legends: fitted "
    "growth of the root mean square from n = 10 on, with 95 % intervals. Impulse: one difference, then a constant "
    "input, for the quantizer that meets assumption (29) with equality (c = 0.6); the closed loop forgets by q = √c "
    "per call, where the printed bound (31) grows. Constant and bursty: absmax at {bits} bits, d = 16, normal "
    "differences, of one size (hollow: the very same at every call), or one in ten large and the rest 100 times "
    "smaller (errors after large ones); p is the exponent of n. Recorded: the inputs of one layer along uniform DDIM "
    "timesteps, absmax at {bits} bits, max norm. There the differences themselves grow (dotted), so the exponents are "
    "those of the closed loop's error over Σκ^(age+1)||d||, the open loop's over the mean ||d|| so far, the direct "
    "error over ||a||; grey: the max-norm bounds of both loops."
)
CAPTION = described(TEXT, bits=OWN_BITS)
ALT = (
    "Four panels of error against calls. After one impulse the closed loop's error falls by the same factor at every "
    "call, while the printed bound rises. For constant and bursty differences the closed loop stays level, and the "
    "open loop grows like the root of the calls, or in proportion to them where the losses are equal. For a recorded "
    "layer the closed loop follows the differences, and the open loop's error rises far above it."
)
CLAIMS = (
    "c_below_half_needed", "open_loop_more_than_linearly", "open_loop_typical_growth", "open_loop_exponential",
    "open_loop_linear", "growth_impulse_closed", "growth_constant", "growth_bursty", "accumulation_three_bits",
    "growth_recorded_open_loop",
)  # fmt: skip
LAYER = "mid_block.attentions.0.to_q"  # or the middle one of a model that has no such layer
_COMMON = {"c": 0.6, "impulse": 40, "bits": OWN_BITS, "d": 16, "period": 10, "rest": 0.01}
_OWN = {
    "quick": {**_COMMON, "n": 200, "trials": 64, "calls": 125, "images": 6},
    "full": {**_COMMON, "n": 1000, "trials": 128, "calls": 250, "images": 6},
}
PARAMS: dict[str, dict[str, Any]] = {effort: known | _OWN[effort] for effort, known in params().items()}
FIRST = 10
DRAWN = 160  # calls at which errors are drawn, evenly on the logarithmic axis
LOOPS = style.LOOPS


def _walk(size: np.ndarray, d: int) -> ms.processes.Process:
    """Make a process from 0 whose differences are normal with the given standard deviations, shape (n,)."""

    def draw(rng: np.random.Generator, trials: int, steps: int) -> Iterator[np.ndarray]:
        a = np.zeros((trials, d))
        yield a
        for k in range(steps - 1):
            a = a + size[k] * rng.standard_normal((trials, d))
            yield a

    return ms.processes.Process("walk", d, {}, draw)


def data(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return errors "<kind>_<recursion>" (calls, trials), fits "fit_<kind>_<recursion>" (3,), and calls "calls_<kind>".

    Errors of simulated differences are kept at the calls that are drawn.
    """
    chosen = effort_of(effort)
    p, bits = PARAMS[chosen.name], chosen.width(OWN_BITS)
    out: dict[str, np.ndarray] = {"bits": np.array(bits), "c": np.array(p["c"])}
    Q, n = ms.AbsMax(bits), p["n"]
    same = np.random.default_rng(p["seed"]).standard_normal(p["d"]) * np.arange(n + 1)[:, None, None]
    r = ms.simulate(ms.processes.recorded(same), Q, "open_loop", steps=n + 1, trials=1)
    shown = np.unique(np.append(np.geomspace(1, n, DRAWN).astype(int), FIRST))
    out["calls_constant"], out["constant_same"] = shown, r.error[shown]
    out["fit_constant_same"] = np.array(growth.power_law(r.error[1:], first=FIRST))
    impulse = np.ones((p["impulse"] + 1, 1, 1))
    impulse[0] = 0
    large = np.arange(1, n + 1) % p["period"] == 0
    out["calls_bursty"] = np.flatnonzero(large) + 1
    sizes = {"constant": np.ones(n), "bursty": np.where(large, 1.0, p["rest"])}
    (layer,) = recordings.layers_like([LAYER], chosen.model)
    inputs = recordings.layer_inputs(effort, layers=[layer], steps=p["calls"], images=p["images"], spacing="uniform")
    recorded = inputs[layer]
    worst = Shrink(q=np.sqrt(p["c"]))
    for loop in LOOPS:
        r = ms.simulate(ms.processes.recorded(impulse), worst, loop, steps=len(impulse), trials=1)
        out[f"impulse_{loop}"] = r.error[1:]
        calls = np.arange(1, len(impulse))
        out[f"fit_impulse_{loop}"] = np.array(growth.slope(calls, r.error[1:]))
        for kind, size in sizes.items():
            r = ms.simulate(_walk(size, p["d"]), Q, loop, steps=n + 1, trials=p["trials"], seed=p["seed"])
            calls = growth.calls(FIRST, n)
            if kind == "bursty":
                calls = np.unique(calls // p["period"] * p["period"])
            out[f"{kind}_{loop}"] = r.error[out[f"calls_{kind}"]]
            out[f"fit_{kind}_{loop}"] = np.array(growth.slope(np.log(calls), r.error[calls]))
        steps, trials = recorded.shape[:2]
        r = ms.simulate(ms.processes.recorded(recorded), Q, loop, steps=steps, trials=trials)
        d, error = r.d_inf[1:], r.error_inf[1:]
        if loop != "direct":
            out[f"bound_{loop}"] = getattr(bounds, f"max_norm_{loop}")(d, Q.kappa(2))
        mean = np.cumsum(d, axis=0) / np.arange(1, steps)[:, None]
        size = {"direct": r.a_inf[1:], "open_loop": mean}.get(loop, out.get("bound_closed_loop"))
        out[f"recorded_{loop}"] = error
        out[f"fit_recorded_{loop}"] = np.array(growth.power_law(error / size, first=FIRST))
        out["recorded_d"] = d
    return out


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw the growth of errors for the four kinds of differences."""
    figure, axes = style.grid(2, 2, height=8.0)
    bits = int(data["bits"])
    _impulse(axes[0, 0], data)
    _powers(axes[0, 1], data, "constant", f"random, all of one size, absmax {bits} bits", (0.3, 3000))
    _powers(axes[1, 0], data, "bursty", f"random bursts, absmax {bits} bits", (0.3, 300))
    recorded = axes[1, 1]
    for loop in ("open_loop", "closed_loop"):
        calls = np.arange(1, len(data["recorded_d"]) + 1)
        style.bound(recorded, calls, np.median(data[f"bound_{loop}"], axis=1), style.BOUND["max_norm"], lw=1)
    recorded.plot(calls, np.median(data["recorded_d"], axis=1), color=style.NEUTRAL[2], ls=":", lw=1.2)
    low = np.median(data["recorded_closed_loop"], axis=1)
    _powers(recorded, data, "recorded", f"recorded layer, absmax {bits} bits", (low.min() / 3, 100.0))
    recorded.set_ylabel("max norm of the error")
    style.legend(figure, _keys(), columns=3)
    return figure


_SAME: dict[str, Any] = {
    "ls": "", "marker": "^", "mfc": "white", "mec": style.RECURSION["open_loop"].colour, "mew": 1.1, "ms": 5,
    "zorder": 4,
}  # fmt: skip


def _impulse(panel: Axes, data: dict[str, np.ndarray]) -> None:
    c = float(data["c"])
    n = np.arange(1, len(data["impulse_direct"]) + 1)
    style.logarithmic(panel)
    style.bound(panel, n, (2 * c) ** ((n - 1) / 2), style.BOUND["printed_sampling"])
    handles = []
    for i, loop in enumerate(LOOPS):
        look, rate = style.RECURSION[loop], float(data[f"fit_impulse_{loop}"][0])
        every = (2 * i, 6)  # because direct and open loop coincide
        panel.plot(n, data[f"impulse_{loop}"], color=look.colour, ls=look.line, marker=look.marker, markevery=every)
        handles.append(style.key(style.Look(f"{style.SHORT[loop]}: ×{np.exp(rate):.3f} per call", *_line(look))))
    handles.append(
        style.key(style.Look(f"(31): ×{np.sqrt(2 * c):.3f} per call", *_line(style.BOUND["printed_sampling"])))
    )
    panel.set_ylim(1e-6, 1e6)
    panel.legend(handles=handles, loc="upper left", fontsize=style.SMALLEST)
    panel.set_title(f"one impulse, worst quantizer, c = {c:g}: √c = {np.sqrt(c):.3f}")
    panel.set_xlabel("n, calls since the start")
    panel.set_ylabel("2-norm of the error")


def _exponent(slope: float, low: float, high: float) -> str:
    width = (high - low) / 2
    return f"p = {round(slope, 2) + 0.0:.2f}" + (f" ± {max(width, 0.005):.2f}" if width > 0 else "")


def _line(look: style.Look) -> tuple[str, Any, str]:
    return look.colour, look.line, look.marker


def _powers(panel: Axes, data: dict[str, np.ndarray], kind: str, title: str, limits: tuple[float, float]) -> None:
    style.logarithmic(panel)
    style.logarithmic(panel, which="x")
    handles = []
    for loop in LOOPS:
        look, error = style.RECURSION[loop], data[f"{kind}_{loop}"]
        n = data.get(f"calls_{kind}", np.arange(1, len(error) + 1))
        few = np.unique(np.searchsorted(n, np.geomspace(n[0], n[-1], 12).astype(int)))
        style.spread(panel, n, error, look, every=few.tolist())
        slope, low, high = data[f"fit_{kind}_{loop}"]
        text = f"{style.SHORT[loop]}: {_exponent(slope, low, high)}"
        handles.append(style.key(style.Look(text, *_line(look))))
    if kind != "recorded":
        anchor = float(np.sqrt(np.mean(data[f"{kind}_open_loop"][np.searchsorted(n, FIRST)] ** 2)))
        for power, name in ((0.5, r"$\sqrt{n}$"), (1.0, "$n$")):
            end = 1.6 * anchor * (n[-1] / FIRST) ** power
            panel.plot([FIRST, n[-1]], [1.6 * anchor, end], color=style.NEUTRAL[1], ls=(0, (4, 2)), lw=0.9)
            panel.text(n[-1] * 1.08, end, name, va="center", fontsize=style.SMALLEST)
    if f"{kind}_same" in data:
        panel.plot(n[few], data[f"{kind}_same"][few, 0], **_SAME)
        handles.append(Line2D([], [], label=f"same each time: {_exponent(*data[f'fit_{kind}_same'])}", **_SAME))
    panel.set_ylim(limits)
    panel.set_xlim(n[0] / 1.1, n[-1] * 2)
    panel.legend(handles=handles, loc="upper left", fontsize=style.SMALLEST)
    panel.set_title(title)
    panel.set_xlabel("n, calls since the start")
    panel.set_ylabel("2-norm of the error")


def _keys() -> list[Any]:
    return [
        *(style.key(style.RECURSION[loop]) for loop in LOOPS),
        style.key(style.BOUND["printed_sampling"]),
        Line2D([], [], color=style.BOUND["max_norm"].colour, lw=1, label="bounds, max norm"),
        Line2D([], [], color=style.NEUTRAL[2], ls=":", lw=1.2, label=r"size of the difference, $\|d\|_\infty$"),
        Line2D([], [], color=style.NEUTRAL[1], ls=(0, (4, 2)), lw=0.9, label=r"reference slopes $\sqrt{n}$ and $n$"),
    ]
