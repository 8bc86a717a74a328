"""Measured c and kappa, per layer and step, of what the three recursions quantize."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

import modiff_sim as ms
from analysis.experiments import digits
from modiff_sim.plot import heat, style

from .practice import STAND_IN, params

TITLE = "Contraction per layer and step"
CAPTION = (
    "Contraction of absmax at 3 bits measured in every linear layer of the full-precision model, medians over images: "
    "c (squared 2-norm, upper row) and κ as a share of its declared worst case 1/(2·qmax) (max norm, lower row), of "
    "the input, of its temporal difference and of the closed loop's residual. Layers in the order of execution, steps "
    "in sampling order. Lighter is a larger error; grey, nothing was quantized. " + STAND_IN
)
PARAMS = params()


def data(effort: str) -> dict[str, np.ndarray]:
    """Return "layers", "steps", "bits", and c_q and kappa_q (layer, step) for q in a, d, r."""
    found = digits.distributions(effort)
    keys = ("layers", "steps", "bits", *(f"{norm}_{q}" for norm in ("c", "kappa") for q in "adr"))
    return {k: found[k] for k in keys}


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw c and kappa of every layer and step."""
    layers = [str(n) for n in data["layers"]]
    figure, axes = style.grid(2, 3, height=8.0, sharex=True, sharey=True)
    declared = ms.AbsMax(int(data["bits"])).kappa(2)
    c = [np.where(data[f"c_{q}"] > 0, data[f"c_{q}"], np.nan) for q in "adr"]
    kappa = [np.where(data[f"kappa_{q}"] > 0, data[f"kappa_{q}"], np.nan) / declared for q in "adr"]
    rows: tuple[tuple[list[np.ndarray], Normalize | None, str], ...] = (
        (c, heat.logarithmic(np.concatenate(c), top=1), "c, squared 2-norm"),
        (kappa, Normalize(0.7, 1), "κ / declared κ, max norm"),
    )
    for row, (tables, norm, label) in enumerate(rows):
        for panel, table in zip(axes[row], tables, strict=True):
            image = heat.table(panel, table, layers, norm)
            heat.blocks(panel, layers)
        ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if t >= float(norm.vmin or 0)]
        heat.bar(image, axes[row], label, ticks if isinstance(norm, LogNorm) else ())
    for panel, look in zip(axes[0], style.QUANTITY.values(), strict=True):
        panel.set_title(look.label, fontsize=9)
    for panel in axes[-1]:
        panel.set_xlabel("model call")
    return figure
