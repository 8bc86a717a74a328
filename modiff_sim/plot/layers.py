"""One bar per layer: the bits that it needs, the error that it makes, what was quantized in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from . import style

BAR = 0.7  # of the distance between two bars
EACH = 0.22  # inches of height for a layer
#: what a layer may be recommended -> its colour, that of the recursion or scheme
SCHEMES = {
    "direct": style.RECURSION["direct"].colour,
    "closed_loop": style.RECURSION["closed_loop"].colour,
    "cache": style.SCHEME["cached"].colour,
    "full_precision": style.RECURSION["full_precision"].colour,
}
#: what of a layer's MACs is drawn -> its words and colour
AUDITED = {
    "quantized_macs": ("on quantized activations", style.NEUTRAL[1]),
    "skipped_macs": ("of these, skipped", style.NEUTRAL[0]),
}
EXACT: dict[str, Any] = {"facecolor": "none", "edgecolor": style.NEUTRAL[1], "ls": (0, (3, 2)), "lw": 0.8}
WEIGHT: dict[str, Any] = {"color": "black", "ls": "", "marker": "|", "ms": 9, "mew": 1.5}


def height(layers: int) -> float:
    """Return the height in inches of a picture with so many layers."""
    return max(3.0, EACH * layers + 1.4)


def bars(axes: Axes, names: Sequence[str], values: Any, colours: Sequence[str] | str, labels: Any = ()) -> None:
    """Draw a horizontal bar per layer, the first at the top; the first bar of each of ``labels`` has it."""
    y = np.arange(len(names))[::-1]
    made = axes.barh(y, values, color=colours, height=BAR)
    for i, label in enumerate(labels):
        if label not in labels[:i]:
            made.patches[i].set_label(label)
    axes.set_yticks(y, list(names))
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.set_axisbelow(True)
    axes.grid(visible=False, axis="y")


def recommended_bits(axes: Axes, found: Sequence[Any]) -> None:
    """Draw the effective bits of each recommendation, in the colour of its scheme."""
    colours, words = [SCHEMES[r.scheme] for r in found], [style.short(r.scheme) for r in found]
    bars(axes, [r.layer for r in found], [r.effective_bits for r in found], colours, words)
    axes.set_xlabel("effective bits")


def recommended_errors(axes: Axes, found: Sequence[Any], *, names: bool = True) -> None:
    """Draw the foreseen and the measured error of each recommendation, and the tolerance."""
    y = np.arange(len(found))[::-1]
    axes.plot([r.bound for r in found], y, "o", color="black", mfc="none", ms=6, label="foreseen")
    axes.plot([r.measured for r in found], y, ".", color="black", ms=6, label="measured")
    look = style.TOLERANCE
    axes.axvline(found[0].tolerance, color=look.colour, ls=look.line, lw=0.8, label=look.label)
    axes.set_yticks(y, [r.layer for r in found] if names else [])
    axes.set_ylim(-0.6, len(found) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(left=0)
    axes.set_xlabel("error over the norm of the input")


def scheme_keys(found: Sequence[Any]) -> list[Patch]:
    """Return the entries of a legend for the schemes that occur."""
    occur = {r.scheme for r in found}
    return [Patch(color=c, label=style.short(name)) for name, c in SCHEMES.items() if name in occur]


def error_keys() -> list[Line2D]:
    """Return the entries of a legend for ``recommended_errors``."""
    black: dict[str, Any] = {"color": "black"}
    return [
        Line2D([], [], ls="", marker="o", mfc="none", ms=6, label="foreseen", **black),
        Line2D([], [], ls="", marker=".", ms=6, label="measured", **black),
        Line2D([], [], ls=style.TOLERANCE.line, lw=0.8, label=style.TOLERANCE.label, **black),
    ]


def audited_shares(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the share of each layer's MACs on quantized values, and that of skipped ones within it.

    ``rows`` are those of an audit (``LayerCount.row``).
    """
    names = [row["layer"] for row in rows]
    shares = {kind: [row[kind] / row["macs"] if row["macs"] else 0.0 for row in rows] for kind in AUDITED}
    for kind, (_, colour) in AUDITED.items():
        bars(axes, names, shares[kind], colour)
    axes.set(xlabel="share of the layer's MACs", xlim=(0, 1))


def audited_bits(axes: Axes, rows: Sequence[Mapping[str, Any]], full: int) -> None:
    """Draw the bits of each layer's quantized activations, a bar, and of its weight, a mark; rows as above.

    A layer none of whose calls was quantized has an empty bar of ``full`` bits, and one without a call says so.
    """
    names, y = [row["layer"] for row in rows], np.arange(len(rows))[::-1]
    bars(axes, names, [row["activation_bits"] for row in rows], AUDITED["quantized_macs"][1])
    exact = [full if _is_exact(row) else np.nan for row in rows]
    if np.isfinite(exact).any():
        axes.barh(y, exact, height=BAR, **EXACT)
    axes.plot([row["weight_bits"] for row in rows], y, **WEIGHT)
    for at, row in zip(y, rows, strict=True):
        if not row["calls"]:
            note: dict[str, Any] = {"xytext": (6, 0), "textcoords": "offset points", "fontsize": style.SMALLEST}
            axes.annotate("not called", (row["weight_bits"], at), va="center", **note)
    axes.set_xlabel("bits")
    axes.set_xlim(left=0)


def audit_keys(rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the entries of a legend for ``audited_shares`` and ``audited_bits``, of what occurs."""
    occur = [look for kind, look in AUDITED.items() if kind == "quantized_macs" or any(row[kind] for row in rows)]
    found: list[Any] = [Patch(color=colour, label=label) for label, colour in occur]
    if any(map(_is_exact, rows)):
        found.append(Patch(label="in full precision", **EXACT))
    return [*found, Line2D([], [], label="weight", **WEIGHT)]


def _is_exact(row: Mapping[str, Any]) -> bool:
    """Whether a layer was called, and never on quantized activations."""
    return bool(row["calls"]) and not row["quantized_calls"]
