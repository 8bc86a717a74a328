"""``modiff-sim contraction``: c and kappa of quantizers, declared, searched and measured (``contraction.atlas``)."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import numpy as np

from ..advice import recommendation
from ..contraction.atlas import atlas
from ..quantizers import QUANTIZERS
from .printing import print_json, table


def run(chosen: Namespace) -> int:
    """Print c and kappa of the chosen quantizers: declared, searched and measured."""
    rows = atlas(
        dict.fromkeys(chosen.quantizer),
        chosen.bits,
        chosen.d,
        dict.fromkeys(chosen.distribution),
        granularities=tuple(dict.fromkeys(chosen.granularity or [None])),
        trials=chosen.trials,
        seed=chosen.seed,
        recorded=_recorded(chosen.recorded) if chosen.recorded else None,
    )
    if not rows:
        raise ValueError(
            "nothing to show: these quantizers do not have such bits, or the runs that share a scale (32 entries for "
            f"MX formats) do not divide --d {' '.join(map(str, chosen.d))}: pass another --d, or --granularity sample"
        )
    order = {name: i for i, name in enumerate(dict.fromkeys(row["quantizer"] for row in rows))}
    rows.sort(key=lambda row: (order[row["quantizer"]], row["bits"], row["granularity"], row["d"], row["norm"]))
    if chosen.plot:
        _plot(chosen.plot, rows)
    shown = {(row["quantizer"], row["d"]) for row in rows}
    left_out = [f"{name} at d = {d}" for name in order for d in chosen.d if (name, d) not in shown]
    if chosen.json:
        about = {"quantizers": chosen.quantizer, "trials": chosen.trials, "seed": chosen.seed, "left_out": left_out}
        return print_json({"params": about, "rows": rows})
    print(
        "c on the squared 2-norm, kappa on the max norm, for d entries per sample. declared: worst case; searched: the"
    )
    print("worst found ('-': randomised); mean: over the trials, low and high its 95 % bootstrap interval.")
    if any(QUANTIZERS[name].laws.randomised for name in order):
        print("Declared c of a randomised quantizer bounds an expectation, so a single sample (largest) may exceed it.")
    if left_out:
        print(f"Left out, because the runs that share a scale do not divide d: {', '.join(left_out)}")
    same = [name for name in ("granularity", "trials") if len({row[name] for row in rows}) == 1]
    print("; ".join(f"{name} {rows[0][name]}" for name in same) + "\n" if same else "")
    head = [name for name in rows[0] if name not in same]
    table(head, ([row[name] for name in head] for row in rows))
    return 0


def _plot(path: str, rows: list[dict[str, Any]]) -> None:
    from ..plot import contraction, style
    from .plotting import picture

    try:
        contraction.keys(rows)
    except contraction.TooMany as error:
        most, colours = error.most, len(style.PALETTE)
        hint = f", or a single --quantizer with {colours}" if error.what == "lines" else ""
        raise ValueError(
            f"--plot can show {most} {error.what}, but --{error.other} has {error.values} values beside another axis: "
            f"pass at most {most}{hint}"
        ) from None
    with picture(path, contraction.titles(rows), columns=2, height=3.6) as (figure, panels):
        contraction.multiples(figure, panels, rows)


def _recorded(path: str) -> np.ndarray:
    """Return all samples (samples, entries) of a recording with one layer, or with layers of one size."""
    layers = recommendation.read_recording(path)
    sizes = {name: int(np.prod(a.shape[2:])) for name, a in layers.items() if a.ndim >= 3}
    if len(sizes) < len(layers) or len(set(sizes.values())) > 1:
        raise ValueError(f"--recorded {path}: needs arrays (steps, trials, d) of one d, got {sizes or 'other shapes'}")
    return np.concatenate([a.reshape(-1, sizes[name]) for name, a in layers.items()])
