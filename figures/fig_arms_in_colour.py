"""Images of the colour model by every arm, from the same noise."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from analysis.tables.layouts import TABLES

from . import arm_grids
from .committed import params

TITLE = "The arms in colour"
CAPTION = (
    "The same 16 noise images sampled by the arms of the colour model with DDIM. Rows: "
    "W8A4 with all layers quantized, and W8A4 with convolutions alone, before which is W8A3 of the closed loop without "
    "the layers of the timestep (50 steps, channel-wise scales); and 20 steps with one scale per sample, all layers. "
    "Below each: by how much its Fréchet distance to CIFAR-10, in the features of a "
    "classifier trained here (not FID), exceeds that of full precision from the same noise, ± half of the 95 % "
    "jackknife interval, and PSNR to full precision; below full precision its own distance. Drawn from the committed "
    "rows of the table `cifar10`. Model: a U-Net of 3.6 M parameters trained on one core of a CPU, which stands in for "
    "the paper's CIFAR-10 and LSUN models."
)
ALT = (
    "Grids of small colour photographs, one per arm. At 4 bits with all layers quantized the open loop gives noise, "
    "direct quantization photographs full of coloured specks, and the closed loop those of full precision; with "
    "convolutions alone quantized both loops are like full precision and direct has specks. The closed loop is like "
    "full precision at 3 bits, too, without the layers of the timestep, and at 6 and 4 bits with 20 steps, where "
    "direct is noise."
)
CLAIMS = (
    "in_colour_three_bits", "in_colour_four_bits_all_layers", "in_colour_direct_four_bits", "in_colour_open_loop",
    "in_colour_open_loop_convolutions", "in_colour_few_steps_remain_effective", "in_colour_six_bits_at_twenty_steps",
)  # fmt: skip
SCALES, COLUMN, FEW = "channel scales", "DDIM 50", "DDIM 20"
ARMS = ("direct", "open loop", "closed loop")
SHOWN = {
    "W8A4, all layers": [
        ("full precision", "full precision", COLUMN),
        *((arm, f"W8A4 {arm}, {SCALES}", COLUMN) for arm in ARMS),
    ],
    "W8A4, convolutions": [
        ("W8A3 closed loop, no time path", f"W8A3 closed loop, {SCALES}, no time path", COLUMN),
        *((arm, f"W8A4 {arm}, {SCALES}, convolutions", COLUMN) for arm in ARMS),
    ],
    "20 steps, all layers": [
        ("full precision", "full precision", FEW),
        ("W8A6 closed loop", "W8A6 closed loop", FEW),
        *((f"W8A4 {arm}", f"W8A4 {arm}", FEW) for arm in ("direct", "closed loop")),
    ],
}
PARAMS = params(TABLES["cifar10"])
FIXED = "it is drawn from committed rows of cifar10 at 4 and 3 bits; sample_grids shows the arms of any model"


def data(effort: str) -> dict[str, np.ndarray]:
    """Return the images of every arm and what is written below them: see ``arm_grids.of_table``."""
    return arm_grids.of_table("cifar10", SHOWN)


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw the images of every arm, with their distances below."""
    return arm_grids.plot(data)
