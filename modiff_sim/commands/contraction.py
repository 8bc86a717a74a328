"""``modiff-sim contraction``: c and kappa of quantizers, declared, searched and measured (``modiff_sim.atlas``)."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import numpy as np

from .. import recommendation
from ..atlas import atlas
from .printing import print_json, table


def run(chosen: Namespace) -> int:
    rows = atlas(
        dict.fromkeys(chosen.quantizer), chosen.bits, chosen.d, dict.fromkeys(chosen.distribution),
        granularities=tuple(dict.fromkeys(chosen.granularity)), trials=chosen.trials, seed=chosen.seed,
        recorded=_recorded(chosen.recorded) if chosen.recorded else None,
    )  # fmt: skip
    if not rows:
        raise ValueError("nothing to show: these quantizers have no such bits, or the granularity fits no --d")
    order = {name: i for i, name in enumerate(dict.fromkeys(row["quantizer"] for row in rows))}
    rows.sort(key=lambda row: (order[row["quantizer"]], row["bits"], row["granularity"], row["d"], row["norm"]))
    if chosen.plot:
        _plot(chosen.plot, rows)
    if chosen.json:
        about = {"quantizers": chosen.quantizer, "trials": chosen.trials, "seed": chosen.seed}
        return print_json({"params": about, "rows": rows})
    print(
        "c on the squared 2-norm, kappa on the max norm, for d entries per sample. declared: worst case; searched: the"
    )
    print("worst found ('-': randomised); mean: over the trials, low and high its 95 % bootstrap interval.")
    same = [name for name in ("granularity", "trials") if len({row[name] for row in rows}) == 1]
    print("; ".join(f"{name} {rows[0][name]}" for name in same) + "\n" if same else "")
    head = [name for name in rows[0] if name not in same]
    table(head, ([row[name] for name in head] for row in rows))
    return 0


def _recorded(path: str) -> np.ndarray:
    """All samples of a recording with one layer, or of layers of one size: (samples, entries)."""
    layers = recommendation.read_recording(path)
    sizes = {name: int(np.prod(a.shape[2:])) for name, a in layers.items() if a.ndim >= 3}
    if len(sizes) < len(layers) or len(set(sizes.values())) > 1:
        raise ValueError(f"--recorded {path}: arrays (steps, trials, d) of one d; it holds {sizes or 'other shapes'}")
    return np.concatenate([a.reshape(-1, sizes[name]) for name, a in layers.items()])


def _plot(path: str, rows: list[dict[str, Any]]) -> None:
    """Against d where there are several, else against bits; declared (line), searched (ring), measured (bars)."""
    from matplotlib.lines import Line2D

    from .plotting import COLOURS, legend_below, picture

    x, other = ("d", "bits") if len({row["d"] for row in rows}) > 1 else ("bits", "d")
    names = ("quantizer", other, "granularity")
    series = list(dict.fromkeys(tuple(row[k] for k in names) for row in rows))
    varied = [i for i in range(len(names)) if len({s[i] for s in series}) > 1] or [0]
    colours = {s: COLOURS[i % len(COLOURS)] for i, s in enumerate(series)}
    markers = dict(zip(dict.fromkeys(row["distribution"] for row in rows), "so^vDPX*", strict=False))
    with picture(path, ["c (squared 2-norm)", "kappa (max norm)"], height=4.2) as (figure, panels):
        for axes, norm in zip(panels, ("c", "kappa"), strict=True):
            for s, colour in colours.items():
                of = [row for row in rows if tuple(row[k] for k in names) == s and row["norm"] == norm]
                worst = {row[x]: row["declared"] for row in of}
                axes.plot(list(worst), list(worst.values()), color=colour)
                found = {row[x]: row["searched"] for row in of if row["searched"] is not None}
                axes.plot(list(found), list(found.values()), "o", ms=7, mfc="none", color=colour)
                for name, marker in markers.items():
                    points = [row for row in of if row["distribution"] == name]
                    mean, low, high = (np.array([row[k] for row in points]) for k in ("mean", "low", "high"))
                    spread = np.maximum([mean - low, high - mean], 0)
                    axes.errorbar([p[x] for p in points], mean, spread, fmt=marker, ms=3.5, color=colour, lw=1)
            axes.set(yscale="symlog" if any(r["declared"] == 0 for r in rows) else "log", xlabel=x)
            if x == "d":
                axes.set_xscale("log", base=2)
        texts = {s: ", ".join(f"{s[i]} bits" if names[i] == "bits" else f"{s[i]}" for i in varied) for s in series}
        handles = [Line2D([], [], color=colours[s], label=text) for s, text in texts.items()]
        handles += [Line2D([], [], color="black", label="declared"),
                    Line2D([], [], color="black", ls="", marker="o", ms=7, mfc="none", label="searched")]  # fmt: skip
        handles += [Line2D([], [], color="black", ls="", marker=m, ms=4, label=n) for n, m in markers.items()]
        legend_below(figure, handles, columns=6)
