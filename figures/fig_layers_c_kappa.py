"""Measured c and kappa, per layer and step, of what the three recursions quantize."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

import modiff_sim as ms
from analysis.experiments import trained
from analysis.experiments.sizes import Effort
from modiff_sim.plot import heat, style

from .practice import ONE, described, params

BITS_TAKEN, OWN_BITS = ONE, trained.RECORD_BITS
TITLE = "Contraction per layer and step"
TEXT = (
    "Contraction of absmax at {bits} bits measured in every linear layer of the full-precision model, medians over "
    "images, of the input, of its temporal difference and of the closed loop's residual. Above: c (squared 2-norm), "
    "layers in the order of execution, steps in sampling order; lighter is a larger error; grey, nothing was "
    "quantized. Below: κ (max norm) as a share of its declared worst case 1/(2·qmax), median over layers and the range "
    "of all of them."
)
CAPTION = described(TEXT, bits=OWN_BITS)
ALT = (
    "Three heat maps of c, layers by model calls, for the input, its difference and the closed loop's residual: "
    "mostly between 0.05 and 0.5, with lighter streaks in single layers. Below them, kappa as a share of its declared "
    "worst case: the median lies at 1 at every call, and single layers reach down to 0.75."
)
CLAIMS = ("kappa_on_real_residuals", "assumption_29_residuals_per_sample")
#: how a part of the caption begins -> the panels that it is about; "" where it goes on about all
PARTS = {"Above: ": "abc", "Below: ": "def", "Model: ": ""}
PARAMS = params()


def data(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return "layers", "steps", "bits", and c_q and kappa_q (layer, step) for q in a, d, r."""
    found = trained.distributions(effort)
    keys = ("layers", "steps", "bits", *(f"{norm}_{q}" for norm in ("c", "kappa") for q in "adr"))
    return {k: found[k] for k in keys}


def plot(data: dict[str, np.ndarray]) -> Figure:
    """Draw c and kappa of every layer and step."""
    layers = [str(n) for n in data["layers"]]
    figure, axes = style.grid(2, 3, height=6.2, sharex=True, sharey="row", gridspec_kw={"height_ratios": [3.6, 1]})
    declared = ms.AbsMax(int(data["bits"])).kappa(2)
    c = [np.where(data[f"c_{q}"] > 0, data[f"c_{q}"], np.nan) for q in "adr"]
    norm = heat.logarithmic(np.concatenate(c), top=1)
    for panel, table in zip(axes[0], c, strict=True):
        image = heat.table(panel, table, layers, norm)
        heat.blocks(panel, layers)
    ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if t >= float(norm.vmin if norm and norm.vmin else 0)]
    heat.bar(image, axes[0], "c, squared 2-norm", ticks)
    for panel, (q, look) in zip(axes[1], style.QUANTITY.items(), strict=True):
        found = np.where(data[f"kappa_{q}"] > 0, data[f"kappa_{q}"], np.nan) / declared
        some = np.isfinite(found).any(axis=0)
        calls = np.flatnonzero(some)
        low, middle, high = (f(found[:, some], axis=0) for f in (np.nanmin, np.nanmedian, np.nanmax))
        panel.fill_between(calls, low, high, color=look.colour, alpha=0.25, lw=0)
        panel.plot(calls, middle, color=look.colour)
        panel.axhline(1, color="black", lw=0.8, ls=":")
        panel.set_xlabel("model call")
    axes[1, 0].set_ylabel("κ / declared κ")
    axes[1, 0].set_ylim(0.65, 1.04)
    for panel, look in zip(axes[0], style.QUANTITY.values(), strict=True):
        panel.set_title(look.label, fontsize=9)
    return figure
