"""``modiff-sim contraction``: c and kappa of a quantizer, declared, searched and measured."""

from __future__ import annotations

import itertools
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import contraction, quantizers
from .printing import known, print_json, table

SEARCHED_UP_TO = 4096  # entries per scale; beyond, a search takes tens of seconds


#: name -> (rng, shape) -> independent entries
DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "laplace": lambda rng, shape: rng.laplace(size=shape),
    "t5": lambda rng, shape: rng.standard_t(5, size=shape),
    "uniform": lambda rng, shape: rng.uniform(-1, 1, size=shape),
}


def run(chosen: Namespace) -> int:
    if min(chosen.d) < 1 or chosen.trials < 2:
        raise ValueError(f"needs --d >= 1 and --trials >= 2, got d={min(chosen.d)}, trials={chosen.trials}")
    for name in chosen.distribution:
        known("distribution", name, DISTRIBUTIONS)
    grid = [quantizers.make(chosen.quantizer, bits) for bits in chosen.bits]
    rows: list[dict[str, Any]] = []
    for Q, d, norm in itertools.product(grid, chosen.d, contraction.NORMS):
        searchable = d <= SEARCHED_UP_TO and not Q.laws.randomised
        found = contraction.search(Q, d, norm=norm, seed=chosen.seed).value if searchable else None
        for name in chosen.distribution:
            rng = np.random.default_rng(chosen.seed)
            x = DISTRIBUTIONS[name](rng, (chosen.trials, d))
            random = rng.random(x.shape) if Q.laws.randomised else None
            m = contraction.measure(Q, x, norm=norm, random=random, seed=chosen.seed)
            rows.append({
                "bits": Q.bits, "d": d, "norm": norm, "declared": getattr(Q, norm)(d), "searched": found,
                "distribution": name, "mean": m.mean, "low": m.low, "high": m.high, "largest": m.largest,
            })  # fmt: skip
    if chosen.json:
        about = {"quantizer": chosen.quantizer, "trials": chosen.trials, "seed": chosen.seed}
        return print_json({"params": about, "rows": rows})
    print(
        f"{chosen.quantizer}: c on the squared 2-norm, kappa on the max norm. mean: over {chosen.trials} draws, low and"
    )
    print(f"high its 95 % bootstrap interval. searched: worst case found ('-': randomised, or d > {SEARCHED_UP_TO}).")
    table(list(rows[0]), (row.values() for row in rows))
    return 0
