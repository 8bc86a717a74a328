"""Images of the 32×32 model by every arm, from the same noise."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from analysis.sampling.pictures import tiles
from analysis.tables.layouts import AT_32, TABLES
from analysis.tables.write import EXCESS, number

from . import style
from .committed import params, rows

TITLE = "The arms at 32×32"
CAPTION = (
    "The same 16 noise images sampled by every arm of the 32×32 model: arm by column, sampler and steps by row. Below "
    "each: by how much its Fréchet distance to Fashion-MNIST, in the features of a classifier trained here (not FID), "
    "exceeds that of full precision from the same noise, ± half of the 95 % jackknife interval, and PSNR to full "
    "precision; below full precision its own distance. Drawn from the committed rows of the table `fashion32`. Model: "
    "a U-Net of 1.1 M parameters trained on a CPU, which stands in for the paper's CIFAR-10 and LSUN models."
)
TABLE = TABLES["fashion32"]


PARAMS = params(TABLE)


def data(effort: str) -> dict[str, np.ndarray]:
    """Return "images" (cells, 16, C, H, W) uint8, the texts "frechet" and "psnr", the names "row" and "column"."""
    found = rows("fashion32")

    def texts(value: str) -> np.ndarray:
        return np.array([number(found, TABLE, cell, value).text() for cell in AT_32.values()])

    return {
        "images": np.stack([found.pictures(cell) for cell in AT_32.values()]),
        "frechet": texts(EXCESS), "psnr": texts("psnr"),
        "row": np.array([row for row, _ in AT_32]), "column": np.array([column for _, column in AT_32]),
    }  # fmt: skip


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw the images of every arm, with their distances below."""
    row_names = list(dict.fromkeys(data["row"].tolist()))
    columns = list(dict.fromkeys(data["column"].tolist()))
    # arms lie along x, so that the page is wider than high
    figure, axes = style.grid(len(columns), len(row_names), height=1.7 * len(columns))
    for panel in axes.flat:
        panel.set_axis_off()
    for k, image in enumerate(data["images"]):
        i, j = columns.index(str(data["column"][k])), row_names.index(str(data["row"][k]))
        panel = axes[i, j]
        panel.set_axis_on()
        panel.grid(visible=False)
        panel.imshow(tiles(image / 127.5 - 1.0), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        panel.set_xticks([])
        panel.set_yticks([])
        for spine in panel.spines.values():
            spine.set_visible(False)
        psnr = str(data["psnr"][k])
        full = str(data["row"][k]) == "full precision"
        below = f"Fréchet {'' if full else '+'}{data['frechet'][k]}" + ("" if psnr == "–" else f"\n{psnr} dB")
        panel.set_xlabel(below, fontsize=style.SMALLEST, labelpad=3)
    for j, name in enumerate(row_names):
        axes[0, j].set_title(name.replace(" ", "\n", 1))
    for i, name in enumerate(columns):
        axes[i, 0].set_ylabel(name)
    return figure
