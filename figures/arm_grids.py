"""What the figures of one grid of images per arm share: the images of committed rows, with their distances below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from analysis.sampling.pictures import tiles
from analysis.tables.layouts import TABLES
from analysis.tables.write import EXCESS, number
from modiff_sim.plot import style

from .committed import rows

#: words for a row of grids -> (title, row, column) of each, the last two being those of a table
Shown = Mapping[str, Sequence[tuple[str, str, str]]]


def of_table(name: str, shown: Shown) -> dict[str, np.ndarray]:
    """Return, by row and place, "images" (rows, places, 16, C, H, W) uint8 and the texts "frechet", "psnr", "title"."""
    table, found = TABLES[name], rows(name)
    cells = [[table.cells[row, column] for _, row, column in line] for line in shown.values()]

    def texts(value: str) -> np.ndarray:
        return np.array([[number(found, table, cell, value).text() for cell in line] for line in cells])

    return {
        "images": np.stack([[found.pictures(cell) for cell in line] for line in cells]),
        "frechet": texts(EXCESS), "psnr": texts("psnr"),
        "title": np.array([[title for title, _, _ in line] for line in shown.values()]), "row": np.array(list(shown)),
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
