"""``modiff-sim recommend``: scheme, bits, granularity and refresh for every recorded layer, and why."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from ..advice import recommendation
from ..names import one_of
from .printing import WIDTH, printed, say, table, width


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
    norm = "max norm, for every trial" if chosen.criterion == "bound" else "2-norm, root mean square over trials"
    mean = float(np.mean([r.effective_bits for r in found]))
    if not printed(chosen, [asdict(r) for r in found], mean_effective_bits=mean):
        _show(chosen, found, norm, mean)
    if chosen.plot:
        _plot(chosen.plot, found, f"{chosen.recording}: within {chosen.tolerance:g} of the input ({norm})")
    return 0


def _show(chosen: Namespace, found: Sequence[recommendation.Recommendation], norm: str, mean: float) -> None:
    """Print a table, and a sentence per layer."""
    say(
        f"The cheapest setting per layer whose error stays within {chosen.tolerance:g} of the input at every call "
        f"({norm}). ρ: difference over input; bound and measured: at the worst call, over the input."
    )
    print()
    rows = [r.as_row() for r in found]
    taken = sum(2 + max(len(name), *(len(row[name]) for row in rows)) for name in rows[0] if name != "layer")
    room = max(24, min(width(), WIDTH) - taken)
    for row in rows:  # names are cut here, but complete in the sentences below the table
        if len(row["layer"]) > room:
            row["layer"] = "…" + row["layer"][1 - room :]
    table(list(rows[0]), (row.values() for row in rows))
    print()
    for r in found:
        say(f"{r.layer}: {r.why}", indent="    ")
    print(f"\n{len(found)} layer{'s' * (len(found) != 1)}, {mean:.2f} effective bits in the mean over layers")


def _some(a: np.ndarray, trials: int, seed: int) -> np.ndarray:
    """Return this many of the recorded trials (axis 1), drawn without repetition and kept in their order."""
    if a.ndim < 2 or not 1 <= trials <= a.shape[1]:
        raise ValueError(f"--trials must be between 1 and the recorded number, got {trials} for shape {a.shape}")
    return a[:, np.sort(np.random.default_rng(seed).choice(a.shape[1], trials, replace=False))]


def _plot(path: str, found: list[recommendation.Recommendation], about: str) -> None:
    from ..plot import layers, style
    from .plotting import picture

    titles = ["effective bits", "error over the norm of the input"]
    with picture(path, titles, about=about, height=layers.height(len(found))) as (figure, (bits, errors)):
        layers.recommended_bits(bits, found)
        layers.recommended_errors(errors, found, names=False)
        for panel in (bits, errors):
            panel.set_xlabel("")  # it is the title
        handles = [*layers.scheme_keys(found), *layers.error_keys()]
        style.legend(figure, handles, columns=6, where="outside lower center")
