"""Measured time against the error of the images: what integers, few bits and caching buy."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from matplotlib.figure import Figure

from analysis.experiments import timing
from analysis.experiments.sizes import Effort
from modiff_sim.plot import pareto, style

from .practice import MANY, params

BITS_TAKEN = MANY
TITLE = "Measured time against error"
TEXT = (
    "Processor time of whole sampling runs over that of full precision (torch, one thread, median over turns), against "
    "the relative l2 distance of the images to full precision's from the same noise (median). Direct quantization and "
    "the closed loop multiply integers, with weights of 8 bits and the layers of the timestep in full precision; "
    "DeepCache (in full precision) computes its deep branch every second time. The line joins what nothing beats in "
    "both. Fewer bits take no less time on a processor that multiplies bytes. Times are of the machine on which the "
    "figure was measured."
)
CAPTION = (
    f"{TEXT} Model: a U-Net of 1.1 M parameters trained on 32×32 clothes, which stands in for the paper's CIFAR-10 and "
    "LSUN models; DDIM, 20 steps, 16 images at once."
)
ALT = (
    "Points in one panel. Direct quantization takes about half of the time of full precision, the closed loop about "
    "seven tenths, whatever the bits. At 8 and 6 bits both have small errors; at 4 and 3 bits direct quantization is "
    "lost, and the closed loop is not."
)
PARAMS = {name: values | asdict(timing.SIZES[name]) for name, values in params().items()}


def data(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return per arm "name", "looks", "time" (to full precision's) and "error" (arm, image)."""
    return timing.measure(effort)


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw the arms and the front."""
    figure, axes = style.grid(1, 1, width=5.2, height=4.2)
    panel = axes[0, 0]
    style.logarithmic(panel)
    errors = np.median(data["error"], axis=1)
    points = [
        pareto.Point(str(name), float(cost), float(error), str(looks))
        for name, looks, cost, error in zip(data["name"], data["looks"], data["time"], errors, strict=True)
        if name != timing.FULL
    ]
    panel.axvline(1, color=style.NEUTRAL[1], lw=1, ls=(0, (4, 2)))
    pareto.arms(panel, points, more_is_better=False)
    panel.annotate(
        "full precision ", (1, 1), xycoords=("data", "axes fraction"), va="top", ha="right", color=style.NEUTRAL[1]
    )
    panel.set_xlabel("time of a sampling run / full precision's")
    panel.set_ylabel("relative l2, images")
    handles, _ = panel.get_legend_handles_labels()
    style.legend(figure, handles, columns=3)
    return figure
