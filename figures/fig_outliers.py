"""Why one outlier hurts direct quantization, and the closed loop only where it changes: what sets the scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import modiff_sim as ms
from modiff_sim import recursion as rec
from modiff_sim.plot import style

TITLE = "Outliers: direct quantization pays for their size, the closed loop for their change"
CAPTION = (
    "One entry of an input is an outlier; 256 others are normal with standard deviation 1 and change by 0.1 per call "
    "(one layer, A = 1, absmax, one scale per input, exact start). (a) What is quantized at one call, in parts of "
    "its largest entry, and the levels of 4 bits: the outlier, of size 20 and at rest, leaves three levels to the "
    "other entries of the input, and is zero in the closed loop's residual. (b) RMS error of the others against the "
    "size of an outlier at rest: direct in proportion to it, as the step is (grey: step/√12), until nothing of the "
    "others is left (1); the closed loop's is the same for all sizes. (c) RMS error of the others against the change "
    "per call of an outlier of size 100: direct hardly cares, and the closed loop's step is in proportion to the "
    "change (grey) once that is larger than the changes of the others. At 4 bits it levels off where the others' "
    "residuals are all rounded to zero, so that they stand still; at 8 bits nothing is gained where the outlier "
    "changes by its own size. Median and 5–95 % of the trials."
)
ALT = (
    "Three panels. Left, an outlier at 1 squeezes all other entries of an input into three levels, while the "
    "residual, where it is at zero, spreads over all levels. Middle: the error of direct quantization rises with the "
    "size of the outlier, and the closed loop's is flat. Right: it is the other way round for the outlier's change "
    "per call."
)
CLAIMS = ("outlier_sets_the_scale",)
#: how a part of the caption begins -> the panels that it is about; "" where it goes on about all
PARTS = {"(a) ": "a", "(b) ": "b", "(c) ": "c", "Median and": ""}
_COMMON = {"seed": 0, "others": 256, "rho": 0.1, "steps": 30, "settled": 10, "bits": [4, 8], "shown": 20.0, "size": 100}
PARAMS: dict[str, dict[str, Any]] = {"quick": {**_COMMON, "trials": 16}, "full": {**_COMMON, "trials": 64}}
SIZES = np.geomspace(4, 4096, 16)
CHANGES = np.geomspace(0.1, 100, 16)
LOOPS = ("direct", "closed_loop")


def inputs(p: dict[str, Any], size: float, change: float) -> ms.processes.Process:
    """Make autoregressive inputs whose first entry takes the values size ± change/2 in turn."""
    d = p["others"] + 1
    rest = ms.processes.ar1(d, phi=1 - p["rho"] ** 2 / 2)

    def draw(rng: np.random.Generator, trials: int, steps: int) -> Iterator[np.ndarray]:
        for k, a in enumerate(rest.stream(rng, trials, steps)):
            moved = a.copy()
            moved[:, 0] = size + (-1) ** k * change / 2
            yield moved

    return ms.processes.Process("outlier", d, {"size": size, "change": change}, draw)


def _lost(p: dict[str, Any], loop: str, bits: int, size: float, change: float) -> np.ndarray:
    """Return the RMS error of the other entries over the settled calls, (trials,)."""
    r = ms.simulate(
        inputs(p, size, change), ms.AbsMax(bits), loop, steps=p["steps"], trials=p["trials"], seed=p["seed"],
        operator=np.eye(p["others"] + 1)[1:], measure=["error"],
    )  # fmt: skip
    return np.sqrt(np.mean(r.error[p["settled"] :] ** 2, axis=0) / p["others"])


def data(effort: str) -> dict[str, np.ndarray]:
    """Return the errors "<axis>_<loop>_<bits>" (points, trials), and what is quantized at one call, "one_<loop>"."""
    p = PARAMS[effort]
    out: dict[str, np.ndarray] = {"sizes": SIZES, "changes": CHANGES, "bits": np.array(p["bits"])}
    out["rho"], out["size"] = np.array(p["rho"]), np.array(p["size"])
    for loop in LOOPS:
        for bits in p["bits"]:
            out[f"size_{loop}_{bits}"] = np.stack([_lost(p, loop, bits, m, 0.0) for m in SIZES])
            out[f"change_{loop}_{bits}"] = np.stack([_lost(p, loop, bits, p["size"], x) for x in CHANGES])
    one = np.stack(list(inputs(p, p["shown"], 0.0).stream(np.random.default_rng(p["seed"]), 1, p["steps"])))
    for loop in LOOPS:
        *_, (_, last) = rec.run(loop, one, ms.AbsMax(p["bits"][0]))
        out[f"one_{loop}"] = last.residual[0]
    return out


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw what is quantized at one call, and the errors against size and change of the outlier."""
    figure, axes = style.grid(1, 3, height=4.2, gridspec_kw={"width_ratios": [1.1, 1, 1]})
    _one_call(axes[0, 0], data)
    for panel, x, kind in ((axes[0, 1], data["sizes"], "size"), (axes[0, 2], data["changes"], "change")):
        style.logarithmic(panel)
        style.logarithmic(panel, which="x")
        for bits in data["bits"].tolist():
            step = x / (2 ** (bits - 1) - 1)
            panel.plot(x, step / np.sqrt(12), color=style.NEUTRAL[0], lw=1, ls=(0, (4, 2)), zorder=1)
            for loop in LOOPS:
                _errors(panel, x, data[f"{kind}_{loop}_{bits}"], loop, bits)
        panel.set_xlim(x[0] / 1.15, x[-1] * 1.15)
        panel.set_ylim(1e-4, 4)
    axes[0, 1].set_ylabel("RMS error of the other entries")
    axes[0, 1].set_title("(b) an outlier at rest")
    axes[0, 1].set_xlabel("size of the outlier")
    axes[0, 2].set_title(f"(c) an outlier of size {int(data['size'])} changes")
    axes[0, 2].set_xlabel("its change per call")
    style.legend(figure, _keys(data["bits"].tolist()), columns=3)
    return figure


def _errors(panel: Axes, x: np.ndarray, error: np.ndarray, loop: str, bits: int) -> None:
    look = style.RECURSION[loop]
    style.spread(panel, x, error, look, every=3, mfc="white" if bits == 4 else look.colour, zorder=3)


def _one_call(panel: Axes, data: dict[str, np.ndarray]) -> None:
    """Draw the entries of the input and of the residual over the levels of the grid, one row each."""
    qmax = 2 ** (int(data["bits"][0]) - 1) - 1
    jitter = np.random.default_rng(0)
    for y, loop in ((1, "direct"), (0, "closed_loop")):
        values = data[f"one_{loop}"] / np.abs(data[f"one_{loop}"]).max()
        colour = style.RECURSION[loop].colour
        panel.vlines(np.arange(-qmax, qmax + 1) / qmax, y - 0.32, y + 0.32, color=style.NEUTRAL[0], lw=0.8)
        panel.plot(values[1:], y + jitter.uniform(-0.25, 0.25, len(values) - 1), ".", color=colour, ms=2.5, alpha=0.7)
        panel.plot(values[0], y, "*", color=style.NEUTRAL[2], ms=9, zorder=4)
    panel.set_yticks([0, 1], ["residual,\nclosed loop", "input,\ndirect"])
    panel.set_ylim(-0.5, 1.5)
    panel.set_xlabel("value over the largest entry")
    panel.set_title("(a) what is quantized, and 4-bit levels")
    panel.grid(visible=False)
    panel.tick_params(axis="y", length=0)


def _keys(widths: list[int]) -> list[Any]:
    keys: list[Any] = []
    for loop in LOOPS:
        look = style.RECURSION[loop]
        for bits in widths:
            fill = "white" if bits == 4 else look.colour
            label = f"{look.label}, {bits} bits"
            keys.append(Line2D([], [], color=look.colour, ls=look.line, marker=look.marker, mfc=fill, label=label))
    outlier = Line2D([], [], ls="", marker="*", ms=9, color=style.NEUTRAL[2], label="the outlier")
    step = Line2D([], [], color=style.NEUTRAL[0], lw=1, ls=(0, (4, 2)), label=r"its size or change / (qmax$\sqrt{12}$)")
    return [*keys, outlier, step]
