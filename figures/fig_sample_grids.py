"""Samples of every arm side by side, from the same noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from analysis.experiments import digits as experiments

from . import style
from .practice import STAND_IN, ablation, params

TITLE = "Samples of every arm from the same noise"
CAPTION = (
    "The same 16 noise images sampled by every arm: recursion by row, activation bits by column, weights at 8 bits; "
    "left, full precision. Below each grid: Fréchet distance to real digits in the features of a digit classifier (not "
    "FID), or, with fewer than 64 images per arm, the median relative l2 to full precision. Values beyond white and "
    "black are cut. " + STAND_IN
)
PARAMS = params()
LIVE = True  # 16 images of every arm are sampled in every run, to look at
SIDE = 4
WEIGHTS = 8
RECURSIONS = ("direct", "open_loop", "closed_loop")


def data(effort: str) -> dict[str, np.ndarray]:
    """Return the images of every arm and of full precision, and how far they are off.

    "images" (recursion, bits, n, 8, 8), "frechet" (recursion, bits), NaN where there are too few images, "relative_l2"
    (recursion, bits), "full" (n, 8, 8), "full_frechet", "bits".
    """
    rows = ablation(effort)
    bits = sorted({r["bits"] for r in rows if r["bits"] != 32}, reverse=True)

    def row(recursion: str, b: int, weights: int) -> dict[str, Any]:
        keys = (recursion, b, weights)
        return next(r for r in rows if (r["recursion"], r["bits"], r["weight_bits"]) == keys)

    def made(r: dict[str, Any]) -> np.ndarray:
        return experiments.images(r, effort, SIDE * SIDE)[:, 0]

    def frechet(r: dict[str, Any]) -> float:
        return np.nan if r["frechet"] is None else r["frechet"]

    full = row("direct", 32, 32)
    table = [[row(name, b, WEIGHTS) for b in bits] for name in RECURSIONS]
    return {
        "bits": np.array(bits), "full": made(full), "full_frechet": np.array(frechet(full)),
        "images": np.array([[made(r) for r in line] for line in table]),
        "frechet": np.array([[frechet(r) for r in line] for line in table]), "n": np.array(full["n"]),
        "relative_l2": np.array([[r["relative_l2"] for r in line] for line in table]),
    }  # fmt: skip


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw the samples of every arm."""
    bits, n = data["bits"], int(data["n"])
    if np.isnan(data["full_frechet"]):
        what, full, values = "relative l2", 0.0, data["relative_l2"]
        note = f"Relative l2 to full precision from the same noise, median over {n} images per arm"
    else:
        what, full, values = "Fréchet", float(data["full_frechet"]), data["frechet"]
        note = f"Fréchet distances of {n} images per arm: comparable with each other, not with other numbers"
    figure, axes = style.grid(len(RECURSIONS), len(bits) + 1, height=5.2)
    for i, name in enumerate(RECURSIONS):
        _show(axes[i, 0], data["full"], full)
        for j in range(len(bits)):
            _show(axes[i, j + 1], data["images"][i, j], float(values[i, j]), style.RECURSION[name].colour)
        axes[i, 0].set_ylabel(style.SHORT[name])
        axes[i, 0].set_xlabel(f"{what} " + axes[i, 0].get_xlabel())
    for panel, title in zip(axes[0], ["full precision", *(f"{b} bits" for b in bits)], strict=True):
        panel.set_title(title)
    figure.supxlabel(note, fontsize=style.SMALLEST, x=0.01, ha="left")
    return figure


def _show(panel: Any, images: np.ndarray, value: float, colour: str = style.NEUTRAL[1]) -> None:
    """Draw a square of images, with -1 as black and 1 as white, in a frame of the recursion's colour."""
    n, height, width = images.shape
    side = int(np.sqrt(n))
    tiles = np.full((side * (height + 1) - 1, side * (width + 1) - 1), np.nan)
    for k in range(side * side):
        y, x = k // side * (height + 1), k % side * (width + 1)
        tiles[y : y + height, x : x + width] = images[k]
    panel.imshow(tiles, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    panel.set_facecolor(colour)  # shows between the images, where white or black would merge with theirs
    panel.set_xticks([])
    panel.set_yticks([])
    panel.grid(visible=False)
    for spine in panel.spines.values():
        spine.set_visible(True)
        spine.set_color(colour)
        spine.set_linewidth(1.5)
    panel.set_xlabel(style.number(value), fontsize=style.SMALLEST + 0.5, labelpad=3)
