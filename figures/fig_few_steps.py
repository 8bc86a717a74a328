"""Steps × bits × sampler: where few steps break the closed loop, and which combination is cheapest."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.experiments.sizes import Effort, effort_of
from analysis.tables.layouts import FEW_STEPS, SWEPT, SWEPT_BITS, TABLES, swept
from modiff_sim.plot import style

from .committed import params, rows
from .practice import MANY

BITS_TAKEN, BITS_KNOWN = MANY, SWEPT_BITS
TITLE = "Steps, bits and sampler"
TEXT = (
    "Fréchet distance to real digits in the features of a digit classifier (not FID) of the closed loop with 8-bit "
    "weights, by model calls and activation bits, for four samplers. So many images lift all values by about b/n "
    "alike. Framed, one per number of bits: the cheapest pairing, fewest model calls within 1.25 times the best "
    "full-precision value of all samplers. Drawn from the committed rows of the table `steps`."
)
CAPTION = TEXT + (
    " Model: a small U-Net trained on 8×8 digits, which stands in for the paper's CIFAR-10 and LSUN models."
)
ALT = (
    "Four tables of coloured numbers, one per sampler, model calls by activation bits. Distances are large at 5 "
    "calls, mostly largest at 3 bits, and much smaller from 20 calls on. Framed cells mark the cheapest good pairing "
    "at each number of bits, all at 20 calls; none is framed at 3 bits."
)
CLAIMS = (
    "few_steps_remain_effective", "few_steps_break_it", "few_steps_break_fast_solvers", "six_bits_at_twenty_steps",
)  # fmt: skip
TABLE = TABLES["steps"]
MODELS = (TABLE.model,)
ABOUT_MODEL = "Model: a small U-Net trained on 8×8 digits."
NEAR = 1.25  # times the best full-precision value
NAMES = {"ddim": "DDIM", "ddpm": "DDPM", "dpm_solver_2": "DPM-Solver-2", "dpm_solver_pp_2m": "DPM-Solver++(2M)"}


PARAMS = params(TABLE)


def data(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return "frechet" (sampler, bits, steps), "bits", "steps" and "samplers"."""
    found, bits = rows("steps"), (32, *effort_of(effort).widths(SWEPT_BITS))
    by_sampler = {name: [f"{name}, {swept(b).label}" for b in bits] for name in SWEPT}
    values = [
        [
            [found.value(TABLE.cells[row, c], TABLE.images, TABLE.seed, "frechet") for c in TABLE.columns]
            for row in names
        ]
        for names in by_sampler.values()
    ]
    return {
        "frechet": np.array(values), "bits": np.array(bits), "steps": np.array(FEW_STEPS), "samplers": np.array(SWEPT),
    }  # fmt: skip


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw a table of distances per sampler, with the cheapest combinations framed."""
    found = data["frechet"]
    cheapest = _cheapest(found, data["bits"])
    samplers, bits, steps = data["samplers"].tolist(), data["bits"].tolist(), data["steps"].tolist()
    figure, axes = style.grid(1, len(samplers), height=2.9, sharey=True)
    scale = LogNorm(found.min(), found.max())
    for k, (panel, name) in enumerate(zip(axes[0], samplers, strict=True)):
        image = panel.imshow(found[k], norm=scale, cmap="cividis_r", aspect="auto")
        panel.grid(visible=False)
        panel.set_title(NAMES[name])
        panel.set_xticks(range(len(steps)), [str(s) for s in steps])
        panel.set_xlabel("model calls")
        for i, j in np.ndindex(found[k].shape):
            dark = scale(found[k, i, j]) > 0.55
            panel.text(
                j,
                i,
                style.number(found[k, i, j]),
                ha="center",
                va="center",
                fontsize=style.SMALLEST,
                color="white" if dark else "black",
            )
            if (k, i, j) in cheapest:
                frame = {"fill": False, "edgecolor": style.NEUTRAL[2], "lw": 1.8}
                panel.add_patch(Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, **frame))
    axes[0, 0].set_yticks(range(len(bits)), ["full" if b == 32 else f"W8A{b}" for b in bits])
    bar = figure.colorbar(image, ax=axes[0].tolist(), pad=0.01, fraction=0.03, ticks=[50, 100, 200, 400], format="%d")
    bar.minorticks_off()
    bar.set_label("Fréchet distance")
    bar.outline.set_visible(False)
    return figure


def _cheapest(mean: np.ndarray, bits: np.ndarray) -> set[tuple[int, int, int]]:
    """Return for each number of bits the (sampler, bits, steps) with the fewest steps among those near the best.

    Of equal steps the smallest distance counts.
    """
    near = NEAR * mean[:, list(bits).index(32)].min()
    found = set()
    for i in range(len(bits)):
        good = [(j, mean[k, i, j], k) for k, j in np.ndindex(len(mean), mean.shape[2]) if mean[k, i, j] <= near]
        if good:
            j, _, k = min(good)
            found.add((k, i, j))
    return found
