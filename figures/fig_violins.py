"""The paper's Fig. 1b: what the three recursions quantize per step (input, difference, the closed loop's residual)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from analysis.experiments import trained
from analysis.experiments.sizes import Effort
from modiff_sim.plot import style, violins

from .practice import ONE, described, params

BITS_TAKEN, OWN_BITS = ONE, trained.RECORD_BITS
TITLE = "Inputs and their differences per step"
TEXT = (
    "Inputs of some layers of the full-precision model and their temporal differences, per model call in sampling "
    "order (the paper's Fig. 1b). Left: violins from stored quantiles, scaled to one width, which is the root of the "
    "density so that tails can be seen; whiskers end at the extremes. Right: largest absolute value at every call, for "
    "the residual of the closed loop (absmax, {bits} bits) as well; dotted, a tenth of the largest input (the paper: "
    "differences are more than 10 times smaller)."
)
CAPTION = described(TEXT, bits=OWN_BITS)
ALT = (
    "Violin plots of three layers along sampling: wide distributions of the input, and beside each a narrow one of "
    "its difference. On the right the largest absolute values: those of differences and residuals lie together, "
    "mostly below the dotted tenth of the largest input, and near or above it in some calls of two layers."
)
CLAIMS = ("differences_ten_times_smaller", "differences_at_every_step")
#: how a part of the caption begins -> the panels that it is about; "" where it goes on about all
PARTS = {"Left: ": "ace", "Right: ": "bdf", "Model: ": ""}
PARAMS = params()
#: an early, a middle and a late layer; models without such layers show three evenly spaced ones
LAYERS = ("down_blocks.0.downsamplers.0.conv", "mid_block.resnets.0.conv1", "up_blocks.1.resnets.0.conv_shortcut")


def data(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return quantiles_q (layer, step, level) and absmax_q (layer, step) of the chosen layers, for q in a, d, r."""
    return choose(trained.distributions(effort))


def choose(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the part of ``distributions`` that is drawn."""
    names = [str(n) for n in found["layers"]]
    wanted = [names.index(n) for n in LAYERS if n in names]
    if len(wanted) < len(LAYERS):
        wanted = np.unique(np.linspace(0, len(names) - 1, len(LAYERS)).round().astype(int)).tolist()
    out = {f"{kind}_{q}": np.asarray(found[f"{kind}_{q}"])[wanted] for kind in ("quantiles", "absmax") for q in "adr"}
    return out | {"layers": np.array([names[i] for i in wanted]), "levels": found["levels"], "steps": found["steps"]}


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw violins of inputs and differences, and their largest values."""
    rows = len(data["layers"])
    figure, axes = style.grid(rows, 2, height=0.8 + violins.EACH * rows, **violins.GRID)
    violins.violins(figure, axes, data)
    return figure
