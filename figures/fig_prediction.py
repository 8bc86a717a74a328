"""The error that the energy theory predicts, per call and in the result, beside the measured error."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.experiments import prediction
from analysis.experiments.sizes import Effort
from modiff_sim.bounds import bits_for_small_gain
from modiff_sim.plot import style, transfer
from modiff_sim.transfer.prediction import TOLERANCE, cliff

from . import practice

BITS_TAKEN = practice.MANY
TITLE = "Errors as noise whose energies add: predicted and measured error of a quantized sampler"
TEXT = (
    "Relative l2 error of the sampler's state x to full precision's from the same noise, weights unquantized. Lines: "
    "predicted from the RMS transfer of network and sampler, measured in full precision, and from what the quantizer "
    "does to the layers' own inputs; the error of the time path, the same in every image, is known. Markers: "
    "sampling (median and 5-95 % of the images). Top: error after each model call; darker is fewer bits. Bottom: "
    "error of the result. Where the line crosses the tolerance lies the predicted cliff. Arrow: the fewest bits that "
    "the worst case, the small-gain condition κ(1+2L) < 1 with the loop gain L of the trained model, would demand of "
    "the closed loop."
)
CAPTION = practice.described(TEXT)
ALT = (
    "Six panels, predicted curves with measured points on them, for direct quantization, open and closed loop. Points "
    "lie on the curves but at 2 bits of direct quantization. Below, the error of the result crosses the tolerance at "
    "5, 7 and 3 bits, predicted and measured alike; an arrow at 10 bits marks what the worst case would demand of the "
    "closed loop."
)
CLAIMS = ("small_gain_trained_model", "predicted_error_digits", "predicted_cliff_digits", "amplification_tells")
#: how a part of the caption begins -> the panels that it is about; "" where it goes on about all
PARTS = {"Top: ": "abc", "Bottom: ": "def", "Arrow: ": "f", "Model: ": ""}
PARAMS = {
    effort: values | {"plan": asdict(prediction.PLANS[effort]), "tolerance": TOLERANCE}
    for effort, values in practice.params().items()
}
SHOWN = (8, 6, 4, 3, 2)  # per call, where all of them were measured
TITLES = {
    "direct": "direct quantization",
    "open_loop": "open loop (no compensation)",
    "closed_loop": "closed loop (MoDiff)",
}


def data(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return the comparison of ``analysis.experiments.prediction``, with quantiles over images, and the tolerance.

    "predicted" (R, B, T) are medians, and "measured" (R, B, T, 3) are the 5 %, 50 % and 95 % quantiles.
    """
    found = prediction.comparison(effort)
    quantiles = np.quantile(found["measured"], [0.05, 0.5, 0.95], axis=-1)
    return found | {
        "predicted": np.median(found["predicted"], axis=-1), "measured": np.moveaxis(quantiles, 0, -1),
        "tolerance": np.array(TOLERANCE),
    }  # fmt: skip


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw predicted and measured errors per call, and of the result per number of bits."""
    recursions = [str(name) for name in data["recursions"]]
    figure, axes = style.grid(2, len(recursions), height=6.2, sharey="row", sharex="row")
    style.logarithmic(*axes.flat)
    worst = bits_for_small_gain(float(data["loop_gain"]))
    for i, name in enumerate(recursions):
        _per_call(axes[0, i], data, i, style.RECURSION[name])
        axes[0, i].set_title(TITLES[name])
        _final(axes[1, i], data, i, style.RECURSION[name])
    _worst_case(axes[1, recursions.index("closed_loop")], worst, float(data["tolerance"]))
    axes[0, 0].set_ylabel("relative l2 error of x")
    axes[1, 0].set_ylabel("relative l2 error of the result")
    axes[0, 0].set_ylim(*_limits(data, slice(1, None)))
    axes[1, 0].set_ylim(*_limits(data, slice(-1, None)))
    axes[0, 0].set_xlim(0, data["measured"].shape[2] - 0.5)
    ticks = sorted({*map(int, data["bits"]), worst})
    axes[1, 0].set_xticks([b for b in ticks if b <= 8 or b == worst])
    axes[1, 0].set_xlim(min(ticks) - 0.4, max(worst, 8) + 1.0)
    style.legend(figure, _keys(_shades(data["bits"])), columns=4)
    return figure


def _per_call(panel: Axes, data: dict[str, np.ndarray], i: int, look: style.Look) -> None:
    shades = _shades(data["bits"])
    for b, bits in enumerate(data["bits"]):
        if bits in shades:
            alpha = shades[int(bits)]
            transfer.predicted(panel, data["predicted"][i, b], look, alpha=alpha)
            transfer.measured(panel, data["measured"][i, b, :, 1], look, alpha=alpha)
    panel.set_xlabel("model call")


def _shades(measured: np.ndarray) -> dict[int, float]:
    """Return how dark the lines of each number of bits are that is drawn per call."""
    all_bits = sorted(map(int, measured), reverse=True)
    shown = SHOWN if set(SHOWN) <= set(all_bits) else all_bits
    return dict(zip(shown, np.linspace(0.95, 0.25, len(shown)).tolist()[::-1], strict=True))


def _final(panel: Axes, data: dict[str, np.ndarray], i: int, look: style.Look) -> None:
    bits, tolerance = data["bits"], float(data["tolerance"])
    predicted, (low, middle, high) = data["predicted"][i, :, -1], data["measured"][i, :, -1].T
    panel.axhline(tolerance, color="black", lw=0.8, ls=(0, (4, 2)), zorder=1)
    panel.plot(bits, predicted, color=look.colour)
    panel.vlines(bits, low, high, color=look.colour, lw=1)
    panel.plot(bits, middle, color=look.colour, ls="", marker="o", ms=4.5)
    ends = [cliff(dict(zip(map(int, bits), map(float, v), strict=True)), tolerance) for v in (predicted, middle)]
    shown = ["none" if end is None else f"{end} bits" for end in ends]
    name = style.short(str(data["recursions"][i]))
    panel.set_title(f"{name}: cliff at {shown[1]}, predicted {shown[0].removesuffix(' bits')}")
    panel.set_xlabel("activation bits")


def _worst_case(panel: Axes, bits: int, tolerance: float) -> None:
    panel.annotate(
        f"worst case\ndemands {bits}",
        xy=(bits, tolerance),
        xytext=(bits, 8 * tolerance),
        ha="center",
        va="bottom",
        color=style.BOUND["max_norm"].colour,
        arrowprops={"arrowstyle": "->", "color": style.BOUND["max_norm"].colour},
    )


def _limits(data: dict[str, np.ndarray], calls: slice) -> tuple[float, float]:
    values = np.concatenate([data["predicted"][..., calls].ravel(), data["measured"][..., calls, 1].ravel()])
    values = values[np.isfinite(values) & (values > 0)]
    return 10.0 ** np.floor(np.log10(values.min())), 10.0 ** np.ceil(np.log10(values.max()))


def _keys(shades: dict[int, float]) -> list[Any]:
    grey = style.NEUTRAL[2]
    lines = [Line2D([], [], color=grey, alpha=alpha, label=f"{bits} bits") for bits, alpha in shades.items()]
    return [
        Line2D([], [], color=grey, label="predicted"),
        Line2D([], [], color=grey, ls="", marker="o", ms=4.5, label="sampling"),
        Line2D([], [], color="black", lw=0.8, ls=(0, (4, 2)), label="tolerance"),
        *lines,
    ]
