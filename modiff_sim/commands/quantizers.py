"""``modiff-sim quantizers``: the registered quantizers and the laws that they declare."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from .. import quantizers
from ..quantizers import granularity
from . import granularities
from .printing import print_json, table

#: field of ``Laws`` -> its name in the table
LAWS = {
    "idempotent": "idem", "sign_equivariant": "sign", "scale_equivariant": "scale", "zero_to_zero": "zero",
    "unbiased": "mean", "randomised": "random",
}  # fmt: skip


def run(chosen: Namespace) -> int:
    """Print every quantizer with the laws that it declares."""
    rows: list[dict[str, Any]] = []
    for name in quantizers.QUANTIZERS:
        Q = granularities.quantizer(chosen, name, chosen.bits)
        d = granularities.entries(Q, chosen.d)
        rows.append({
            "name": name, "bits": Q.bits, "scale per": granularity.name(Q.granularity), "d": d,
            "error/scale": Q.laws.error, "c": Q.c(d), "c is": Q.laws.c, "kappa": Q.kappa(d), "kappa is": Q.laws.kappa,
            "laws": [flag for flag in LAWS if getattr(Q.laws, flag)],
        })  # fmt: skip
    if chosen.json:
        return print_json({"params": {"bits": chosen.bits, "d": chosen.d}, "quantizers": rows})
    print(
        f"Declared at {chosen.bits} bits if they can be chosen, for samples of {chosen.d} entries ('-': not declared)"
    )
    print("d: how many entries share a scale (group:32: runs of at most 32), for which c and kappa are given")
    print("laws: idem: Q(Q(x)) = Q(x); sign: Q(-x) = -Q(x); scale: Q(2x) = 2Q(x); zero: Q(0) = 0; mean: E Q(x) = x")
    table(list(rows[0]), ([*list(row.values())[:-1], " ".join(LAWS[flag] for flag in row["laws"])] for row in rows))
    return 0
