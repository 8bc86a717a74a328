"""``modiff-sim contraction``: c and kappa of quantizers, declared, searched and measured (``contraction.atlas``)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import quantizers
from ..advice import recommendation
from ..contraction.atlas import atlas
from ..quantizers import QUANTIZERS, granularity
from . import taken
from .printing import printed, say, table


def run(chosen: Namespace) -> int:
    """Print c and kappa of the chosen quantizers: declared, searched and measured."""
    rows = _rows(chosen)
    if not rows:
        raise ValueError(
            "nothing to show: these quantizers do not have such bits, or the runs that share a scale (32 entries for "
            f"MX formats) do not divide --d {' '.join(map(str, chosen.d))}: pass another --d, or --granularity sample"
        )
    if chosen.plot:
        _plot(chosen.plot, rows, ", ".join([*_one_of_each(rows).values(), f"seed {chosen.seed}"]))
    shown = {(row["quantizer"], row["d"]) for row in rows}
    names = list(dict.fromkeys(row["quantizer"] for row in rows))
    left_out = [f"{name} at d = {d}" for name in names for d in chosen.d if (name, d) not in shown]
    if printed(chosen, rows, left_out=left_out):
        return 0
    say(
        "The loss over the input, for d entries per sample. declared: worst case; searched: the worst found ('-': "
        "randomised); mean: over the trials, low and high its 95 % bootstrap interval."
    )
    if any(QUANTIZERS[name].laws.randomised for name in names):
        say("Declared c of a randomised quantizer bounds an expectation, so a single sample (largest) may exceed it.")
    say(taken.CONDITIONS)
    if left_out:
        say(f"Left out, because the runs that share a scale do not divide d: {', '.join(left_out)}")
    same = _one_of_each(rows)
    if same:
        print(", ".join(same.values()))
    for norm, title in NORMS.items():
        _print([row for row in rows if row["norm"] == norm], title, [name for name in SAID if name not in same])
    return 0


#: the columns that say what a row is about
KEYS = ("quantizer", "bits", "granularity", "d", "distribution", "trials", "norm")
#: norm -> its title in the output
NORMS = {"c": "c (squared 2-norm)", "kappa": "kappa (max norm)"}
#: what is the same in all rows -> how this is said; otherwise it is a column
SAID = {"quantizer": "{}", "d": "d = {}", "distribution": "{} inputs", "trials": "{} trials"}
MEASURED = ("searched", "mean", "low", "high", "largest")


def _text(row: dict[str, Any], name: str) -> Any:
    """Return what a table shows in a column: all that is known of the quantizer stands in one."""
    if name != "quantizer":
        return row[name]
    return taken.said(quantizers.parse(f"{row['quantizer']}:{row['bits']}@{row['granularity']}"))


def _one_of_each(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return what is the same in all rows, in words."""
    same = {name: {_text(row, name) for row in rows} for name in SAID}
    return {name: SAID[name].format(*values) for name, values in same.items() if len(values) == 1}


def _print(rows: Sequence[dict[str, Any]], title: str, keys: Sequence[str]) -> None:
    """Print the rows of one norm."""
    conditions = {"c_below_1": "c<1", "c_at_most_half": "2c≤1"} if rows[0]["norm"] == "c" else {"kappa_below_1": "<1"}
    print(f"\n{title}")
    head = [*keys, "declared", *conditions.values(), *MEASURED]
    lines = (
        [*(_text(row, name) for name in keys), row["declared"], *(taken.yes_or_no(row[name]) for name in conditions),
         *(row[name] for name in MEASURED)]
        for row in rows
    )  # fmt: skip
    table(head, lines, keys=len(keys))


def _rows(chosen: Namespace) -> list[dict[str, Any]]:
    """Return the rows of the atlas: quantizers whose text says their bits or granularity have these only."""
    recorded = _recorded(chosen.recorded) if chosen.recorded else None
    groups: dict[tuple[tuple[int, ...], tuple[str | None, ...]], list[str]] = {}
    for text in chosen.quantizer:
        head, at, own = text.partition("@")
        name, colon, _ = head.partition(":")
        bits = (quantizers.parse(head).bits,) if colon else tuple(chosen.bits)
        shared = (own,) if at else tuple(dict.fromkeys(chosen.granularity or [None]))
        groups.setdefault((bits, shared), []).append(name)
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    options = {"trials": chosen.trials, "seed": chosen.seed, "recorded": recorded}
    drawn = dict.fromkeys(chosen.distribution)
    for (bits, own_ones), group in groups.items():
        said = _granularities(group, own_ones)
        for row in atlas(dict.fromkeys(group), bits, chosen.d, drawn, granularities=own_ones, **options):
            row["granularity"] = said[row["granularity"]]
            rows[tuple(row[name] for name in KEYS)] = row | _premises(row)
    names, scales = (list(dict.fromkeys(row[key] for row in rows.values())) for key in ("quantizer", "granularity"))
    return sorted(
        rows.values(), key=lambda r: (names.index(r["quantizer"]), r["bits"], scales.index(r["granularity"]), r["d"])
    )


def _granularities(names: Sequence[str], shared: Sequence[str | None]) -> dict[str, str]:
    """Return what the atlas calls the granularities -> what the command line calls them."""
    made = [granularity.parse(text) for text in shared if text is not None]
    made += [quantizers.make(name, 8).granularity for name in names]
    return {str(each): granularity.name(each) for each in made}


def _premises(row: dict[str, Any]) -> dict[str, bool | None]:
    """Return the conditions that the declared constant of this row meets; None for those of the other one."""
    met = taken.premises(row["declared"], row["declared"])
    return {name: value if name.startswith(row["norm"]) else None for name, value in met.items()}


def _plot(path: str, rows: list[dict[str, Any]], about: str) -> None:
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
    with picture(path, contraction.titles(rows), about=about, columns=2, height=3.6) as (figure, panels):
        contraction.multiples(figure, panels, rows)
        for i, axes in enumerate(panels):
            axes.set_ylabel(("‖x - Q(x)‖² / ‖x‖²", "‖x - Q(x)‖∞ / ‖x‖∞")[i % 2])


def _recorded(path: str) -> np.ndarray:
    """Return all samples (samples, entries) of a recording with one layer, or with layers of one size."""
    layers = recommendation.read_recording(path)
    sizes = {name: int(np.prod(a.shape[2:])) for name, a in layers.items() if a.ndim >= 3}
    if len(sizes) < len(layers) or len(set(sizes.values())) > 1:
        raise ValueError(f"--recorded {path}: needs arrays (steps, trials, d) of one d, got {sizes or 'other shapes'}")
    return np.concatenate([a.reshape(-1, sizes[name]) for name, a in layers.items()])
