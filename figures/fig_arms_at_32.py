"""Images of the 32×32 model by every arm, from the same noise."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from analysis.sampling.pictures import tiles
from analysis.tables.layouts import AT_32, TABLES
from analysis.tables.write import EXCESS, number
from modiff_sim.plot import style

from .committed import params, rows

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
TABLE = TABLES["fashion32"]
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
PARAMS = params(TABLE)
FIXED = "it is drawn from committed rows of fashion32 at 4 and 3 bits; sample_grids shows the arms of any model"


def data(effort: str) -> dict[str, np.ndarray]:
    """Return, by row and place, "images" (rows, places, 16, C, H, W) uint8 and the texts "frechet", "psnr", "title"."""
    found = rows("fashion32")
    cells = [[AT_32[row, column] for _, row, column in line] for line in SHOWN.values()]

    def texts(value: str) -> np.ndarray:
        return np.array([[number(found, TABLE, cell, value).text() for cell in line] for line in cells])

    return {
        "images": np.stack([[found.pictures(cell) for cell in line] for line in cells]),
        "frechet": texts(EXCESS), "psnr": texts("psnr"),
        "title": np.array([[title for title, _, _ in line] for line in SHOWN.values()]), "row": np.array(list(SHOWN)),
    }  # fmt: skip


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw the images of every arm, with their distances below."""
    titles = data["title"]
    figure, axes = style.grid(*titles.shape, height=2.1 * len(titles))
    for place, title in np.ndenumerate(titles):
        panel = axes[place]
        panel.grid(visible=False)
        panel.imshow(tiles(data["images"][place] / 127.5 - 1.0), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        panel.set_xticks([])
        panel.set_yticks([])
        for spine in panel.spines.values():
            spine.set_visible(False)
        psnr = str(data["psnr"][place])
        full = psnr == "–"  # it is not compared with itself
        below = f"Fréchet {'' if full else '+'}{data['frechet'][place]}" + ("" if full else f", {psnr} dB")
        panel.set_xlabel(below.replace("+-", "-"), fontsize=style.SMALLEST, labelpad=3)
        panel.set_title(title, fontsize=style.SMALLEST + 1)
    for panel, name in zip(axes[:, 0], data["row"], strict=True):
        panel.set_ylabel(name)
    return figure
