"""``modiff-sim quantizers``: the registry and the laws it declares."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from .. import quantizers
from .printing import print_json, table

#: field of ``Laws`` -> its name in the table
LAWS = {
    "idempotent": "idempotent", "sign_equivariant": "sign", "scale_equivariant": "scale", "zero_to_zero": "zero",
    "unbiased": "unbiased", "randomised": "randomised",
}  # fmt: skip


def run(chosen: Namespace) -> int:
    rows: list[dict[str, Any]] = []
    for name in quantizers.QUANTIZERS:
        Q = quantizers.make(name, chosen.bits)
        rows.append({
            "name": name, "bits": Q.bits, "error/scale": Q.laws.error, "c": Q.c(chosen.d), "c is": Q.laws.c,
            "kappa": Q.kappa(chosen.d), "kappa is": Q.laws.kappa,
            "laws": [flag for flag in LAWS if getattr(Q.laws, flag)],
        })  # fmt: skip
    if chosen.json:
        return print_json({"params": {"bits": chosen.bits, "d": chosen.d}, "quantizers": rows})
    print(
        f"Declared at {chosen.bits} bits where they can be chosen; c for d = {chosen.d} entries per scale ('-': none)"
    )
    print("laws: idempotent; sign: Q(-x) = -Q(x); scale: Q(2x) = 2Q(x); zero: Q(0) = 0; unbiased: E Q(x) = x")
    table(list(rows[0]), ([*list(row.values())[:-1], " ".join(LAWS[flag] for flag in row["laws"])] for row in rows))
    return 0
