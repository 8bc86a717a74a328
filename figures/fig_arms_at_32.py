"""Images of the 32×32 model by every arm, from the same noise."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from analysis.tables.layouts import TABLES

from . import arm_grids
from .committed import params

TITLE = "The arms at 32×32"
CAPTION = (
    "The same 16 noise images sampled by the arms of the 32×32 model. Rows: W8A4 with all layers quantized, "
    "W8A4 with convolutions alone (both with channel-wise scales, DDIM, 50 steps), and W8A3 of the closed loop. Below"
    " each: by how much its Fréchet distance to Fashion-MNIST, in the features of a classifier trained here (not "
    "FID), exceeds that of full precision from the same noise, ± half of the 95 % jackknife interval, and PSNR to "
    "full precision; below full precision its own distance. Drawn from the committed rows of the table `fashion32`. "
    "Model: a U-Net of 1.1 M parameters trained on a CPU, which stands in for the paper's CIFAR-10 and LSUN models."
)
ALT = (
    "Grids of small pictures of clothes, one per arm. At 4 bits with all layers quantized the open loop gives noise, "
    "direct quantization damaged clothes, and the closed loop clothes like those of full precision; with convolutions "
    "alone quantized both loops are good and direct is not. At 3 bits the closed loop is good with 100 steps and "
    "without the layers of the timestep, and noisy with ten steps."
)
CLAIMS = (
    "at_32_three_bits", "at_32_three_bits_all_layers", "at_32_three_bits_per_sample", "at_32_open_loop",
    "at_32_open_loop_convolutions", "at_32_few_steps",
)  # fmt: skip
SCALES, CONVOLUTIONS = "channel scales", "channel scales, convolutions"
#: words for a row of pictures -> (title, arm, sampler and steps) of each
SHOWN = {
    "W8A4, all layers": [
        ("full precision", "full precision", "DDIM 50"),
        *((arm, f"W8A4 {arm}, {SCALES}", "DDIM 50") for arm in ("direct", "open loop", "closed loop")),
    ],
    "W8A4, convolutions": [
        ("W8A32", "W8A32", "DDIM 50"),
        *((arm, f"W8A4 {arm}, {CONVOLUTIONS}", "DDIM 50") for arm in ("direct", "open loop", "closed loop")),
    ],
    "W8A3 closed loop": [
        ("DDIM 100, no time path", f"W8A3 closed loop, {SCALES}, no time path", "DDIM 100"),
        ("DDIM 100, all layers", f"W8A3 closed loop, {SCALES}", "DDIM 100"),
        ("DDIM 50, a scale per sample", "W8A3 closed loop", "DDIM 50"),
        ("DDIM 10, a scale per sample", "W8A3 closed loop", "DDIM 10"),
    ],
}
PARAMS = params(TABLES["fashion32"])
FIXED = "it is drawn from committed rows of fashion32 at 4 and 3 bits; sample_grids shows the arms of any model"


def data(effort: str) -> dict[str, np.ndarray]:
    """Return the images of every arm and what is written below them: see ``arm_grids.of_table``."""
    return arm_grids.of_table("fashion32", SHOWN)


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw the images of every arm, with their distances below."""
    return arm_grids.plot(data)
