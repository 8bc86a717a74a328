"""The paper's Fig. 3: error of the middle block's output per step and bits, for the three recursions."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from analysis.experiments import trained
from analysis.experiments.sizes import Effort
from modiff_sim.plot import style

from .practice import MANY, described, params

BITS_TAKEN = MANY
TITLE = "Error in the middle block per step"
TEXT = (
    "Relative l2 distance of the middle block's output to full precision's, from the same noise, per model call in "
    "sampling order (the paper's Fig. 3); median and 5–95 % of the images, weights at 8 bits. Dashed: 8-bit weights "
    "with full-precision activations."
)
CAPTION = described(TEXT, weights=True)
ALT = (
    "Five panels, 8 to 2 bits, of error against model calls. At 8 bits all arms lie close together; from 6 bits on "
    "the open loop rises above direct quantization, and the closed loop stays lowest, near quantized weights alone at "
    "6 bits. At 2 bits all three are near 1 or above."
)
WEIGHTS = 8
PARAMS = params()


def data(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return "bits", "recursions", "relative_l2" (recursion, bits, step, image) and "weights_only" (step, image)."""
    return trained.middle_block(effort)


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw the error of the middle block per call, in a panel per number of bits."""
    bits, recursions, table = data["bits"], [str(r) for r in data["recursions"]], data["relative_l2"]
    steps = np.arange(table.shape[2])
    figure, axes = style.grid(1, len(bits), height=3.3, sharex=True, sharey=True)
    for j, panel in enumerate(axes[0]):
        style.logarithmic(panel)
        panel.plot(steps, np.median(data["weights_only"], axis=1), color="black", lw=1, ls=(0, (4, 2)), zorder=1)
        for i, name in enumerate(recursions):
            style.spread(panel, steps, table[i, j], style.RECURSION[name], every=max(1, len(steps) // 6))
        panel.set_title(f"{bits[j]} bits")
        panel.set_xlabel("model call")
    axes[0, 0].set_ylabel("relative l2, middle block")
    axes[0, 0].set_xlim(0, steps[-1])
    axes[0, 0].set_ylim(_limits(table, data["weights_only"]))
    weights = style.Look("8-bit weights alone", "black", (0, (4, 2)))
    style.legend(figure, [*(style.key(style.RECURSION[n]) for n in recursions), style.key(weights, lw=1)], columns=4)
    return figure


def _limits(*values: np.ndarray) -> tuple[float, float]:
    """Return limits of whole decades around all medians; the bands may be cut."""
    middle = np.concatenate([np.median(v, axis=-1).ravel() for v in values])
    middle = middle[np.isfinite(middle) & (middle > 0)]
    return 10.0 ** np.floor(np.log10(middle.min())), 10.0 ** np.ceil(np.log10(middle.max()))
