"""When features change during sampling, per model call, for two spacings of timesteps, and what errors make of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import modiff_sim as ms
from analysis.experiments import recordings
from analysis.experiments.sizes import Effort, effort_of
from analysis.experiments.trained_runs import visited
from modiff_sim.plot import style

from .practice import ONE, described, params

BITS_TAKEN, OWN_BITS = ONE, 3
PLAIN_TITLE = "When features change, and what the error makes of it"
TITLE = "With uniform timesteps features change most at the end, and the closed loop's error follows them"
TEXT = (
    "Inputs of some layers along 100 calls of full-precision sampling, first call (most noise) on the left. Top: "
    "change since the last call over the input's size, in the 2-norm, median over the images, for each layer (thin) "
    "and over all (thick); small print: mean of the second half of the calls over that of the first, geometric mean "
    "over the layers. Calls that repeat a timestep change nothing and are gaps. Bottom: error of each layer quantized "
    "alone on these inputs, absmax at {bits} bits, A = 1, over the input's size: median and 5–95 % of layers and "
    "images."
)
CAPTION = described(
    TEXT,
    bits=OWN_BITS,
    found="With uniform timesteps all layers change more in the second half, and all but conv_in, whose input is the "
    "sample itself, most of all in the last calls. Quadratic timesteps are dense there, which evens the calls out. "
    "Direct quantization hardly sees when inputs change; the closed loop's error follows the latest change, and "
    "shrinks at once where nothing changes; the open loop's adds up.",
)
ALT = (
    "Four panels against model calls, uniform timesteps left, quadratic right. With uniform timesteps the change per "
    "call rises slowly and steeply at the end; with quadratic ones it is nearly level. Below, the closed loop's error "
    "follows the changes, direct quantization's is level at about 0.4, and the open loop's rises throughout."
)
CLAIMS = ("features_change_late",)
#: how a part of the caption begins -> the panels that it is about; "" where it goes on about all
PARTS = {
    "Top: ": "ab", "Calls that repeat": "", "Bottom: ": "cd", "With uniform timesteps": "", "Direct quantization": "cd",
    "Model: ": "",
}  # fmt: skip
_OWN = {"bits": OWN_BITS, "calls": 100, "images": 6}
PARAMS: dict[str, dict[str, Any]] = {effort: known | _OWN for effort, known in params().items()}
SPACINGS = ("uniform", "quad")


def data(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return "change_<spacing>" (calls, layers), "error_<spacing>_<loop>" (calls, layers · images), "t_<spacing>"."""
    chosen = effort_of(effort)
    p, bits = PARAMS[chosen.name], chosen.width(OWN_BITS)
    layers = recordings.layers_like(recordings.LAYERS, chosen.model)
    Q, out = ms.AbsMax(bits), {"bits": np.array(bits)}
    for spacing in SPACINGS:
        inputs = recordings.layer_inputs(effort, layers=layers, steps=p["calls"], images=p["images"], spacing=spacing)
        out[f"t_{spacing}"] = visited(replace(chosen, steps=p["calls"], spacing=spacing)).timesteps
        changes, errors = [], {loop: [] for loop in style.LOOPS}
        for a in inputs.values():
            for loop in style.LOOPS:
                r = ms.simulate(ms.processes.recorded(a), Q, loop, steps=a.shape[0], trials=a.shape[1])
                errors[loop].append((r.error / r.a)[1:])
            changes.append(np.median(r.d / r.a, axis=1)[1:])
        out[f"change_{spacing}"] = np.stack(changes, axis=1)
        out |= {f"error_{spacing}_{loop}": np.concatenate(errors[loop], axis=1) for loop in style.LOOPS}
    return out


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw the changes of the layers and the errors, a column for each spacing."""
    figure, axes = style.grid(2, len(SPACINGS), height=6.0, sharex=True, sharey="row")
    for column, (spacing, name) in enumerate(zip(SPACINGS, ("uniform", "quadratic"), strict=True)):
        top, bottom = axes[:, column]
        t = data[f"t_{spacing}"]
        moved = np.diff(t) != 0
        calls = np.arange(1, len(t))
        change = np.where(moved[:, None], data[f"change_{spacing}"], np.nan)
        top.plot(calls, change, color=style.NEUTRAL[0], lw=0.9)
        top.plot(calls, np.median(change, axis=1), color=style.NEUTRAL[2], lw=2)
        ratio = late_over_early(change[moved])
        top.text(0.98, 0.04, f"second half / first: {ratio:.1f}", ha="right", transform=top.transAxes, fontsize=8.5)
        top.set_title(f"{name} timesteps, t = {t[0]} to {t[-1]}")
        for i, loop in enumerate(style.LOOPS):
            error = data[f"error_{spacing}_{loop}"]
            style.spread(bottom, calls, np.where(error > 0, error, np.nan), style.RECURSION[loop], every=(3 * i, 12))
        bottom.plot(calls, np.median(change, axis=1), color=style.NEUTRAL[2], lw=1.2, ls=":")
        bottom.set_xlabel("model call")
        bottom.set_xlim(0, len(t))
    style.logarithmic(axes[0, 0], axes[1, 0])
    axes[1, 0].set_ylim(1e-4, 1)
    axes[0, 0].set_ylabel("change over the size of the input")
    axes[1, 0].set_ylabel(f"error at {int(data['bits'])} bits over that size")
    style.legend(figure, _keys(), columns=3)
    return figure


def late_over_early(change: np.ndarray) -> float:
    """Return the mean of the second half of the calls over that of the first, geometric mean over the layers."""
    half = len(change) // 2
    return float(np.exp(np.mean(np.log(change[half:].mean(axis=0) / change[:half].mean(axis=0)))))


def _keys() -> list[Any]:
    return [
        Line2D([], [], color=style.NEUTRAL[0], lw=0.9, label="change, each layer"),
        Line2D([], [], color=style.NEUTRAL[2], lw=2, label="change, median"),
        Line2D([], [], color=style.NEUTRAL[2], lw=1.2, ls=":", label="change, median, beside errors"),
        *(style.key(style.RECURSION[loop]) for loop in style.LOOPS),
    ]
