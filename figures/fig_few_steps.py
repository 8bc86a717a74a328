"""Steps × bits × sampler: where few steps break the closed loop, and which pairing is best."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.metrics import mean_interval
from analysis.tables.layouts import FEW_STEPS, SWEPT, SWEPT_BITS, TABLES

from . import style
from .committed import params, rows

TITLE = "Steps, bits and sampler"
CAPTION = (
    "Fréchet distance to real digits in the features of a digit classifier (not FID) of the closed loop with 8-bit "
    "weights, by model calls and activation bits, for four samplers; mean over three seeds of 128 images, which lifts "
    "all values alike. A frame marks the cells whose interval of the difference to the best one of all samplers "
    "contains 0. Drawn from the committed rows of the table `steps`. "
    "Model: a small U-Net trained on 8×8 digits, which stands in for the paper's CIFAR-10 and LSUN models."
)
TABLE = TABLES["steps"]
NAMES = {"ddim": "DDIM", "ddpm": "DDPM", "dpm_solver_2": "DPM-Solver-2", "dpm_solver_pp_2m": "DPM-Solver++(2M)"}


PARAMS = params(TABLE)
BITS = (32, *SWEPT_BITS)


def data(effort: str) -> dict[str, np.ndarray]:
    """ "frechet" (sampler, bits, steps, seeds); "bits", "steps", "samplers"."""
    found = rows("steps")
    by_sampler = {name: [row for row in TABLE.rows if row.startswith(f"{name}, ")] for name in SWEPT}
    values = [
        [
            [found.values(TABLE.cells[row, c], TABLE.images, TABLE.seeds, "frechet") for c in TABLE.columns]
            for row in names
        ]
        for names in by_sampler.values()
    ]
    return {
        "frechet": np.array(values), "bits": np.array(BITS), "steps": np.array(FEW_STEPS), "samplers": np.array(SWEPT),
    }  # fmt: skip


def plot(data: dict[str, np.ndarray]) -> Figure:
    mean = data["frechet"].mean(axis=-1)
    best = np.unravel_index(mean.argmin(), mean.shape)
    as_good = _as_good(data["frechet"], data["frechet"][best])
    samplers, bits, steps = data["samplers"].tolist(), data["bits"].tolist(), data["steps"].tolist()
    figure, axes = style.grid(1, len(samplers), height=2.9, sharey=True)
    scale = LogNorm(mean.min(), mean.max())
    for k, (panel, name) in enumerate(zip(axes[0], samplers, strict=True)):
        image = panel.imshow(mean[k], norm=scale, cmap="cividis_r", aspect="auto")
        panel.grid(visible=False)
        panel.set_title(NAMES[name])
        panel.set_xticks(range(len(steps)), [str(s) for s in steps])
        panel.set_xlabel("model calls")
        for i, j in np.ndindex(mean[k].shape):
            dark = scale(mean[k, i, j]) > 0.55
            panel.text(
                j, i, style.number(mean[k, i, j]), ha="center", va="center", fontsize=style.SMALLEST,
                color="white" if dark else "black",
            )  # fmt: skip
            if as_good[k, i, j]:
                frame = {"fill": False, "edgecolor": style.ALARM, "lw": 1.6}
                panel.add_patch(_square(j, i, **frame))
    axes[0, 0].set_yticks(range(len(bits)), ["full" if b == 32 else f"W8A{b}" for b in bits])
    bar = figure.colorbar(image, ax=axes[0].tolist(), pad=0.01, fraction=0.03)
    bar.set_label("Fréchet distance")
    bar.outline.set_visible(False)
    return figure


def _square(x: int, y: int, **look: Any) -> Any:
    return Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, **look)


def _as_good(values: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Where the 95 % t-interval over the seeds of (value - best's), paired, contains 0 or less."""
    apart = values - best
    low = np.apply_along_axis(lambda x: mean_interval(x)[1] if x.any() else 0.0, -1, apart)
    return low <= 0
