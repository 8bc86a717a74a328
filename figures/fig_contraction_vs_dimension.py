"""Why the max norm is the spine: c of absmax grows with the dimension and depends on the tails, κ does neither."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import modiff_sim as ms
from modiff_sim import contraction

from . import style

TITLE = "Contraction against dimension"
CAPTION = (
    "Absmax, round to nearest: c (squared 2-norm, upper row) and κ (max norm, lower row) of one block of d entries. "
    "Lines: declared worst case, c(d) = (d-1)/(d-1+4·qmax²) and κ = 1/(2·qmax). Crosses: worst case found by a search. "
    "Markers: median and 5–95 % of independent draws from a normal, a Laplace and a Student-t (5 degrees of freedom). "
    "Dotted: c = 1/2, the largest the paper's appendix allows. c tends to 1 for every number of bits; κ stays."
)
BITS = (2, 3, 4, 6)
DISTRIBUTIONS = ("normal", "Laplace", "Student t5")
_COMMON = {"seed": 0, "bits": list(BITS), "searched": [2, 8, 32, 128]}
PARAMS: dict[str, dict[str, Any]] = {
    "quick": {**_COMMON, "dims": [2, 8, 32, 128, 512, 2048, 8192], "draws": 32},
    "full": {**_COMMON, "dims": [2, 8, 32, 128, 512, 2048, 8192, 32768, 131072], "draws": 100},
}


def _draw(rng: np.random.Generator, distribution: str, shape: tuple[int, int]) -> np.ndarray:
    if distribution == "normal":
        return rng.standard_normal(shape)
    return rng.laplace(size=shape) if distribution == "Laplace" else rng.standard_t(5, size=shape)


def _worst(bits: int, d: int, norm: str) -> float:
    return contraction.search(ms.AbsMax(bits), d, norm=norm, tries=8, rounds=2).value


def _parts(x: np.ndarray) -> list[np.ndarray]:
    """Cuts of a few MiB: whole arrays of 131072 x 100 would need half a GiB for their temporaries."""
    return np.array_split(x, max(1, x.size // 2**18))


def data(effort: str) -> dict[str, np.ndarray]:
    """Per norm: declared (bits, dims), searched (bits, few dims), measured (bits, distribution, dims, draws)."""
    p = PARAMS[effort]
    dims = p["dims"]
    fine = np.unique(np.geomspace(2, 131072, 60).astype(int))
    out: dict[str, np.ndarray] = {
        "dims": np.array(dims),
        "declared_dims": fine,
        "searched_dims": np.array(p["searched"]),
    }
    measured = {norm: np.empty((len(BITS), len(DISTRIBUTIONS), len(dims), p["draws"])) for norm in contraction.NORMS}
    for j, distribution in enumerate(DISTRIBUTIONS):
        for k, d in enumerate(dims):
            x = _draw(np.random.default_rng([p["seed"], j, d]), distribution, (p["draws"], d))
            for i, bits in enumerate(BITS):
                for norm in contraction.NORMS:
                    rows = [contraction.ratios(ms.AbsMax(bits), part, norm=norm) for part in _parts(x)]
                    measured[norm][i, j, k] = np.concatenate(rows)
    for norm in contraction.NORMS:
        out[f"{norm}_measured"] = measured[norm]
        out[f"{norm}_declared"] = np.array([[getattr(ms.AbsMax(b), norm)(int(d)) for d in fine] for b in BITS])
        out[f"{norm}_searched"] = np.array([[_worst(b, d, norm) for d in p["searched"]] for b in BITS])
    return out


_MARKS = dict(zip(DISTRIBUTIONS, zip("os^", style.NEUTRAL, strict=True), strict=True))


def plot(data: dict[str, np.ndarray]) -> Figure:
    figure, axes = style.grid(2, len(BITS), height=5.6, sharex=True, sharey="row")
    dims = data["dims"]
    for row, (norm, known) in enumerate((("c", "sharp"), ("kappa", "max_norm"))):
        style.logarithmic(*axes[row])
        for column, panel in enumerate(axes[row]):
            style.logarithmic(panel, which="x")
            style.bound(panel, data["declared_dims"], data[f"{norm}_declared"][column], style.BOUND[known])
            for j, (marker, colour) in enumerate(_MARKS.values()):
                low, middle, high = np.quantile(data[f"{norm}_measured"][column, j], [0.05, 0.5, 0.95], axis=1)
                x = dims * 1.25 ** (j - 1)
                panel.errorbar(
                    x, middle, (middle - low, high - middle), fmt=marker, color=colour, ms=3.2, lw=0.8, zorder=2
                )
            panel.plot(data["searched_dims"], data[f"{norm}_searched"][column], "x", color="black", ms=5, zorder=4)
            if norm == "c":
                panel.axhline(0.5, color="black", lw=0.8, ls=":")
    for panel, bits in zip(axes[0], BITS, strict=True):
        panel.set_title(f"{bits} bits")
    for panel in axes[1]:
        panel.set_xlabel("entries per scale, d")
        panel.set_xticks([1e1, 1e3, 1e5])
    axes[0, 0].set_xlim(1.2, 3e5)
    axes[0, 0].set_ylim(1e-4, 2)
    axes[1, 0].set_ylim(3e-3, 2)
    axes[0, 0].set_ylabel("c, squared 2-norm")
    axes[1, 0].set_ylabel("κ, max norm")
    marks = [Line2D([], [], ls="", marker=m, color=c, label=f"measured, {n}") for n, (m, c) in _MARKS.items()]
    style.legend(
        figure,
        [
            Line2D([], [], color=style.BOUND["sharp"].colour, label="declared c(d)"),
            Line2D([], [], color=style.BOUND["max_norm"].colour, label="declared κ"),
            Line2D([], [], ls="", marker="x", color="black", ms=5, label="found by search"),
            Line2D([], [], ls=":", lw=0.8, color="black", label="c = 1/2"),
            *marks,
        ],
        columns=4,
    )
    return figure
