"""What a table of arms cannot tell: what an arm did not cover, and what its numbers do not mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...cost import FULL_BITS
from ..audit import Audit, LayerCount
from ..plans.plan import ByLayer
from ..run.run import Run

FULL = "full precision"
#: names of layers that a note lists, before it only counts the others
NAMED = 3
#: the range on which images are compared
RANGE = (-1.0, 1.0)
#: values that lie further than this outside of the range, and the share of them that a note is about
OUTSIDE, NOTICED = 0.1, 0.01
#: different numbers of bits that a note lists
WIDTHS = 4

Row = Mapping[str, Any]
#: "activations" or "weights" -> layers
Uncovered = Mapping[str, Sequence[str]]


def uncovered(run: Run, options: Mapping[str, Any]) -> dict[str, list[str]]:
    """The layers of an arm that none of its patterns fits, so that they stay in full precision.

    Parameters
    ----------
    run : Run
        The arm on the model.
    options : mapping
        What ``modulated`` was given for it.

    Returns
    -------
    dict
        "activations" and "weights" -> names of layers, where there are any.
    """
    names = list(run.operators)
    found = {"activations": run.plan.uncovered(names) if isinstance(run.plan, ByLayer) else []}
    if isinstance(options.get("weights"), Mapping | ByLayer):
        found["weights"] = [k for k, o in run.operators.items() if o.weight_bits == FULL_BITS]
    return {what: layers for what, layers in found.items() if layers}


def notes(
    rows: Sequence[Row],
    audits: Mapping[str, Audit],
    left: Mapping[str, Uncovered],
    full: np.ndarray | None = None,
    value_range: tuple[float, float] = RANGE,
) -> list[str]:
    """Sentences about the arms of a comparison, those about all of them first.

    Parameters
    ----------
    rows : sequence of mappings
        One per arm, as of ``Comparison``.
    audits : mapping of str to Audit
        What was quantized, by arm.
    left : mapping of str to mapping
        Arm -> what ``uncovered`` found.
    full : numpy.ndarray, optional
        The images of full precision, in [-1, 1].
    value_range : tuple of float, default (-1, 1)
        The range in which the images were drawn.
    """
    arms = [row for row in rows if row["arm"] != FULL]
    found = [*_about_all(arms), *_ranges(full, value_range)]
    for row in arms:
        audit, uncovered = audits.get(row["arm"]), left.get(row["arm"], {})
        found += [f"{row['arm']}: {said}" for said in (*_equal(row), *_bits(audit), *_left(audit, uncovered))]
    return found


def equal(row: Row) -> bool:
    """Whether all images of an arm are known to be equal to those of full precision."""
    return bool(row.get("equal") == row["images"])


def _about_all(arms: Sequence[Row]) -> Iterator[str]:
    if arms and all(row["relative_l2"] >= 1 for row in arms):  # as where a model is chaotic
        yield "no arm's images resemble full precision's (relative l2 of 1 or more): quality cannot rank them"
    if any(row["gbops"] != row["gbops"] for row in arms):
        yield "costs are unknown, since no call was entered through the model itself: call it as model(...)"


def _ranges(full: np.ndarray | None, value_range: tuple[float, float]) -> Iterator[str]:
    """What range was assumed of the images, where that is not plain."""
    low, high = value_range
    assumed = f"({low:g}, {high:g})"
    if value_range != RANGE:
        yield f"images are in {assumed} and are compared on (-1, 1), which is what relative l2 is of"
    share = 0.0 if full is None else float((np.abs(full) > 1 + OUTSIDE).mean())
    if full is not None and share > NOTICED:
        least, most = (low + (float(value) + 1) / 2 * (high - low) for value in (full.min(), full.max()))
        yield (
            f"{share:.0%} of the values of full precision's images lie outside of {assumed}, from {least:.3g} to "
            f"{most:.3g}: PSNR and SSIM take them to be in that range, so give another value_range="
        )


def _bits(audit: Audit | None) -> Iterator[str]:
    """Which layers have other bits than most have, where plans or patterns give a few different ones."""
    found: dict[str, list[str]] = {}
    for what, bits_of in (("activations", _activation_bits), ("weights", _weight_bits)):
        layers: dict[float, list[str]] = {}
        for layer in () if audit is None else audit.layers:
            if (bits := bits_of(layer)) is not None:
                layers.setdefault(bits, []).append(layer.name)
        if 1 < len(layers) <= WIDTHS:
            usual = max(layers, key=lambda bits: len(layers[bits]))
            others = ", ".join(f"{bits:g} bits in {some(names)}" for bits, names in layers.items() if bits != usual)
            found.setdefault(f"{others}; {usual:g} bits in {len(layers[usual])} other layers", []).append(what)
    for said, whose in found.items():
        yield f"{' and '.join(whose)} have {said}"


def _activation_bits(layer: LayerCount) -> float | None:
    of_layer = layer.kind not in ("qk", "sv") and layer.quantized_calls  # else a product, or in full precision
    return round(layer.activation_bits, 2) if of_layer else None


def _weight_bits(layer: LayerCount) -> float | None:
    return layer.weight_bits if layer.kind not in ("qk", "sv") and layer.weight_bits < FULL_BITS else None


def _equal(row: Row) -> Iterator[str]:
    if equal(row):
        why = "" if row["total_share"] else ", since nothing was quantized"
        yield f"all images are equal to full precision's{why}"
    elif row.get("equal"):
        yield f"{row['equal']} of {row['images']} images are equal to full precision's"


def _left(audit: Audit | None, left: Uncovered) -> Iterator[str]:
    for what, layers in left.items():
        these = f"{len(layers)} layers, which stay" if len(layers) > 1 else "a layer, which stays"
        yield f"no pattern of {what} fits {these} in full precision: {some(layers)}"
    if audit is None:
        return
    if "weights" not in left and audit.layers and all(x.weight_bits == FULL_BITS for x in audit.layers):
        yield "weights are not quantized"
    if audit.unsupported:
        yield f"cannot be quantized: {some(audit.unsupported)}"
    if 0 < len(audit.uncalled) < len(audit.layers):
        yield f"never called: {some(audit.uncalled)}"


def some(names: Sequence[str]) -> str:
    """The first of some names, and how many others there are."""
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{rest}"
