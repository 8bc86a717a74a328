"""What a table of arms cannot tell: what an arm did not cover, and what its numbers do not mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...cost import FULL_BITS
from ..audit import Audit
from ..plans.plan import ByLayer
from ..run.run import Run

FULL = "full precision"
#: names of layers that a note lists, before it only counts the others
NAMED = 3

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


def notes(rows: Sequence[Row], audits: Mapping[str, Audit], left: Mapping[str, Uncovered]) -> list[str]:
    """Sentences about the arms of a comparison, those about all of them first.

    Parameters
    ----------
    rows : sequence of mappings
        One per arm, as of ``Comparison``.
    audits : mapping of str to Audit
        What was quantized, by arm.
    left : mapping of str to mapping
        Arm -> what ``uncovered`` found.
    """
    arms = [row for row in rows if row["arm"] != FULL]
    found = [*_about_all(arms)]
    for row in arms:
        name = row["arm"]
        found += [f"{name}: {said}" for said in (*_equal(row), *_left(audits.get(name), left.get(name, {})))]
    return found


def equal(row: Row) -> bool:
    """Whether all images of an arm are known to be equal to those of full precision."""
    return bool(row.get("equal") == row["images"])


def _about_all(arms: Sequence[Row]) -> Iterator[str]:
    if arms and all(row["relative_l2"] >= 1 for row in arms):  # as where a model is chaotic
        yield "no arm's images resemble full precision's (relative l2 of 1 or more): quality cannot rank them"
    if any(row["gbops"] != row["gbops"] for row in arms):
        yield "costs are unknown, since no call was entered through the model itself: call it as model(...)"


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
