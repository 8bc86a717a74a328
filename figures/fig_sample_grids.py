"""Samples of every arm side by side, from the same noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from analysis.experiments import trained as experiments
from analysis.experiments.arms import FULL
from analysis.experiments.sizes import Effort, effort_of
from modiff_sim.plot import style

from .practice import MANY, ablation, described, params

BITS_TAKEN = MANY
TITLE = "Samples of every arm from the same noise"
TEXT = (
    "The same 16 noise images sampled by every arm: recursion by row, activation bits by column, weights at 8 bits; "
    "left, full precision. Below each grid: relative l2 to full precision, median over images. Values beyond white and "
    "black are cut."
)
CAPTION = described(TEXT, weights=True)
ALT = (
    "Grids of sixteen handwritten digits, three recursions in rows and 8 to 2 bits in columns, full precision on the "
    "left. Direct quantization is blurred at 4 bits and noise at 3; the open loop is noisy at 4 bits; the closed loop "
    "looks like full precision down to 3 bits, and all are lost at 2."
)
CLAIMS = ("three_bits_per_sample",)
PARAMS = params()
LIVE = True  # 16 images of every arm are sampled in every run, to look at
SIDE = 4
WEIGHTS = 8
RECURSIONS = ("direct", "open_loop", "closed_loop")


def data(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return the images of every arm and of full precision, and how far they are off.

    "images" (recursion, bits, 16, C, H, W), "relative_l2" (recursion, bits), "full" (16, C, H, W), "bits", and "n", how
    many images "relative_l2" is the median of.
    """
    rows = ablation(effort)
    bits = sorted({r["bits"] for r in rows if r["bits"] != 32}, reverse=True)

    def row(recursion: str, b: int, weights: int) -> dict[str, Any]:
        keys = (recursion, b, weights)
        return next(r for r in rows if (r["recursion"], r["bits"], r["weight_bits"]) == keys)

    def made(r: dict[str, Any]) -> np.ndarray:
        return experiments.images(r, effort, SIDE * SIDE)

    full = row("direct", 32, 32)
    table = [[row(name, b, WEIGHTS) for b in bits] for name in RECURSIONS]
    return {
        "bits": np.array(bits), "full": made(full), "n": np.array(full["n"]),
        "images": np.array([[made(r) for r in line] for line in table]),
        "relative_l2": np.array([[r["relative_l2"] for r in line] for line in table]),
    }  # fmt: skip


def outline(effort: str | Effort, committed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return data of the same layout: as many grids as there are recursions and bits, all black."""
    chosen = effort_of(effort)
    bits = sorted({arm.bits for arm in experiments.sweep(chosen) if arm.bits != FULL.bits}, reverse=True)
    black = np.full((len(RECURSIONS), len(bits), SIDE * SIDE, 1, 2, 2), -1.0)
    return {
        "bits": np.array(bits), "full": black[0, 0], "n": np.array(chosen.n), "images": black,
        "relative_l2": np.ones(black.shape[:2]),
    }  # fmt: skip


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw the samples of every arm."""
    bits, n = data["bits"], int(data["n"])
    figure, axes = style.grid(len(RECURSIONS), len(bits) + 1, height=5.2)
    for i, name in enumerate(RECURSIONS):
        _show(axes[i, 0], data["full"], 0.0)
        for j in range(len(bits)):
            _show(axes[i, j + 1], data["images"][i, j], float(data["relative_l2"][i, j]), style.RECURSION[name].colour)
        axes[i, 0].set_ylabel(style.SHORT[name])
        axes[i, 0].set_xlabel("relative l2 " + axes[i, 0].get_xlabel())
    for panel, title in zip(axes[0], ["full precision", *(f"{b} bits" for b in bits)], strict=True):
        panel.set_title(title)
    note = f"Relative l2 to full precision from the same noise, median over {n} images per arm"
    figure.supxlabel(note, fontsize=style.SMALLEST, x=0.01, ha="left")
    return figure


def _show(panel: Any, images: np.ndarray, value: float, colour: str = style.NEUTRAL[1]) -> None:
    """Draw a square of images, with -1 as black and 1 as white, in a frame of the recursion's colour.

    Three channels are colours; of another number the first is shown.
    """
    n, channels, height, width = images.shape
    side = int(np.sqrt(n))
    tiles = np.zeros((side * (height + 1) - 1, side * (width + 1) - 1, 4))  # clear between the images
    for k in range(side * side):
        y, x = k // side * (height + 1), k % side * (width + 1)
        image = images[k] if channels == 3 else images[k, :1]
        tiles[y : y + height, x : x + width, :3] = np.clip(image.transpose(1, 2, 0) / 2 + 0.5, 0, 1)
        tiles[y : y + height, x : x + width, 3] = 1
    panel.imshow(tiles, interpolation="nearest")
    panel.set_facecolor(colour)  # shows between the images, where white or black would merge with theirs
    panel.set_xticks([])
    panel.set_yticks([])
    panel.grid(visible=False)
    for spine in panel.spines.values():
        spine.set_visible(True)
        spine.set_color(colour)
        spine.set_linewidth(1.5)
    panel.set_xlabel(style.number(value), fontsize=style.SMALLEST + 0.5, labelpad=3)
