"""``modiff-sim quantizers``: the registry and the laws it declares."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from .. import quantizers
from .printing import print_json, table


def run(chosen: Namespace) -> int:
    flags = ("idempotent", "sign_equivariant", "scale_equivariant", "zero_to_zero", "unbiased", "randomised")
    rows: list[dict[str, Any]] = []
    for name in quantizers.QUANTIZERS:
        Q = quantizers.make(name, chosen.bits)
        rows.append({
            "name": name, "bits": Q.bits, "error/scale": Q.laws.error, "c": Q.c(chosen.d), "c is": Q.laws.c,
            "kappa": Q.kappa(chosen.d), "kappa is": Q.laws.kappa,
            "laws": [flag for flag in flags if getattr(Q.laws, flag)],
        })  # fmt: skip
    if chosen.json:
        return print_json({"params": {"bits": chosen.bits, "d": chosen.d}, "quantizers": rows})
    print(
        f"Declared at {chosen.bits} bits where they can be chosen; c for d = {chosen.d} entries per scale ('-': none)"
    )
    table(list(rows[0]), ([*list(row.values())[:-1], " ".join(row["laws"])] for row in rows))
    return 0
