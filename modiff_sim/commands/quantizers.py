"""``modiff-sim quantizers``: the registered quantizers and the laws that they declare."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from .. import quantizers
from . import taken
from .printing import cell, printed, say, table

#: field of ``Laws`` -> its name in the table
LAWS = {
    "idempotent": "idem", "sign_equivariant": "sign", "scale_equivariant": "scale", "zero_to_zero": "zero",
    "unbiased": "mean", "randomised": "random",
}  # fmt: skip
#: column -> its head in the table
SHOWN = {
    "quantizer": "quantizer", "bits": "bits", "granularity": "granularity", "entries_per_scale": "entries",
    "error_per_scale": "error/scale", "c": "c", "c_below_1": "c<1", "c_at_most_half": "2c≤1", "kappa": "kappa",
}  # fmt: skip


def run(chosen: Namespace) -> int:
    """Print the quantizers, all or those that are named, with the laws that they declare."""
    rows: list[dict[str, Any]] = []
    for Q in taken.several(chosen.quantizer or quantizers.QUANTIZERS, chosen.bits, chosen.granularity):
        row = taken.about(Q, chosen.d, taken.entries(Q, chosen.d))
        row |= {"error_per_scale": Q.laws.error, "c_is": Q.laws.c, "kappa_is": Q.laws.kappa}
        rows.append(row | {law: bool(getattr(Q.laws, law)) for law in LAWS})
    if printed(chosen, rows):
        return 0
    say(
        f"Declared at {chosen.bits} bits where neither name nor format says how many, for samples of {chosen.d} "
        "entries ('-': not declared; ≤: an upper bound, the others are attained)."
    )
    say("entries: how many share a scale (group:32: runs of at most 32), for which c and kappa are given.")
    say(taken.CONDITIONS)
    say(
        "laws: idem: Q(Q(x)) = Q(x); sign: Q(-x) = -Q(x); scale: Q(2x) = 2Q(x); zero: Q(0) = 0; mean: E Q(x) = x; "
        "random: takes random bits."
    )
    print()
    table([*SHOWN.values(), "laws"], (_cells(row) for row in rows))
    return 0


def _cells(row: dict[str, Any]) -> list[Any]:
    """Return the cells of a quantizer's line: upper bounds are marked, and laws are words."""
    marked = {name: f"≤ {cell(row[name])}" if row[f"{name}_is"] == "upper" else row[name] for name in ("c", "kappa")}
    marked |= {name: taken.yes_or_no(row[name]) for name in ("c_below_1", "c_at_most_half")}
    return [*((row | marked)[name] for name in SHOWN), " ".join(word for law, word in LAWS.items() if row[law])]
