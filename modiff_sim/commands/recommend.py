"""``modiff-sim recommend``: scheme, bits, granularity and refresh for every recorded layer, and why."""

from __future__ import annotations

import textwrap
from argparse import Namespace
from dataclasses import asdict
from typing import Any

import numpy as np

from ..advice import recommendation
from ..names import one_of
from .printing import print_json, table

WIDTH = 110


def run(chosen: Namespace) -> int:
    """Print what each recorded layer should use, and why."""
    inputs = recommendation.read_recording(chosen.recording)
    if chosen.layer:
        inputs = {one_of("layer", name, inputs): inputs[name] for name in chosen.layer}
    if chosen.trials is not None:
        inputs = {name: _some(a, chosen.trials, chosen.seed) for name, a in inputs.items()}
    found = recommendation.recommend(
        inputs, tolerance=chosen.tolerance, criterion=chosen.criterion, judged=chosen.judged
    )
    if chosen.plot:
        _plot(chosen.plot, found)
    if chosen.json:
        about = {"recording": chosen.recording, "tolerance": chosen.tolerance, "criterion": chosen.criterion}
        about |= {"judged": chosen.judged, "trials": chosen.trials, "seed": chosen.seed}
        return print_json({"params": about, "layers": [asdict(r) for r in found]})
    norm = "max norm, for every trial" if chosen.criterion == "bound" else "2-norm, root mean square over trials"
    print(f"The cheapest setting per layer whose error stays within {chosen.tolerance:g} of the input at every call")
    print(f"({norm}). ρ: difference over input; bound and measured: at the worst call, over the input.\n")
    rows = [r.as_row() for r in found]
    room = WIDTH - sum(2 + max(len(name), *(len(row[name]) for row in rows)) for name in rows[0] if name != "layer")
    for row in rows:  # names are cut here, but complete in the sentences below the table
        if len(row["layer"]) > room:
            row["layer"] = "…" + row["layer"][1 - room :]
    table(list(rows[0]), (row.values() for row in rows))
    print()
    for r in found:
        print(textwrap.fill(f"{r.layer}: {r.why}", WIDTH, subsequent_indent="    "))
    mean = np.mean([r.effective_bits for r in found])
    print(f"\n{len(found)} layer{'s' * (len(found) != 1)}, {mean:.2f} effective bits in the mean over layers")
    return 0


def _some(a: np.ndarray, trials: int, seed: int) -> np.ndarray:
    """Return this many of the recorded trials (axis 1), drawn without repetition and kept in their order."""
    if a.ndim < 2 or not 1 <= trials <= a.shape[1]:
        raise ValueError(f"--trials must be between 1 and the recorded number, got {trials} for shape {a.shape}")
    return a[:, np.sort(np.random.default_rng(seed).choice(a.shape[1], trials, replace=False))]


def _plot(path: str, found: list[recommendation.Recommendation]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    from .plotting import COLOURS, legend_below, picture

    schemes = dict(zip(("direct", "closed_loop", "cache", "full_precision"), COLOURS, strict=False))
    y = np.arange(len(found))[::-1]
    height = max(3.0, 0.28 * len(found) + 1.4)
    with picture(path, ["effective bits", "error over the norm of the input"], height=height) as (figure, panels):
        bits, error = panels
        bits.barh(y, [r.effective_bits for r in found], color=[schemes[r.scheme] for r in found], height=0.7)
        bits.set_yticks(y, [r.layer for r in found])
        bits.set_axisbelow(True)
        bits.grid(False, axis="y")
        error.plot([r.bound for r in found], y, "o", color="black", mfc="none")
        error.plot([r.measured for r in found], y, ".", color="black")
        error.axvline(found[0].tolerance, color="#d55e00", ls="--")
        error.set_yticks(y, [])
        error.set_xlim(left=0)
        error.set_ylim(*bits.get_ylim())
        handles: list[Any] = [
            Patch(color=colour, label=name.replace("_", " "))
            for name, colour in schemes.items()
            if any(r.scheme == name for r in found)
        ]
        handles += [
            Line2D([], [], ls="", marker="o", color="black", mfc="none", label="foreseen"),
            Line2D([], [], ls="", marker=".", color="black", label="measured"),
            Line2D([], [], ls="--", color="#d55e00", label="tolerance"),
        ]
        legend_below(figure, handles, columns=6)
