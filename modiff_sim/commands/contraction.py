"""``modiff-sim contraction``: c and kappa of quantizers, declared, searched and measured (``contraction.atlas``)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..advice import recommendation
from ..console import complain
from ..contraction.atlas import atlas
from ..contraction.left_out import said
from ..contraction.premises import of_row
from ..contraction.which import text
from ..parsing import STDOUT
from ..quantizers import QUANTIZERS, granularity
from . import asked, taken
from .printing import printed, say, table


def run(chosen: Namespace) -> int:
    """Print c and kappa of the chosen quantizers: declared, searched and measured."""
    wanted = asked.read(chosen)
    if not wanted.expected():
        raise ValueError(f"nothing to show: {'; '.join(said(wanted.left_out))}")
    if chosen.plot:
        _fits(wanted.expected())
    rows = _rows(chosen, wanted)
    left_out = wanted.missing(rows)
    if not printed(chosen, rows, left_out=left_out):
        _show(rows, left_out)
    elif chosen.csv == STDOUT:
        for line in said(left_out):
            complain(f"left out: {line}")
    if chosen.plot:
        _plot(chosen.plot, rows, ", ".join([*_one_of_each(rows).values(), f"seed {chosen.seed}"]))
    return 0


def _show(rows: Sequence[dict[str, Any]], left_out: Sequence[dict[str, Any]]) -> None:
    """Print the rows as a table per norm."""
    say(
        "The loss over the input, for d entries per sample. declared: worst case; searched: the worst found ('-': "
        "randomised); mean: over the trials, low and high its 95 % bootstrap interval."
    )
    if any(QUANTIZERS[row["quantizer"]].laws.randomised for row in rows):
        say("Declared c of a randomised quantizer bounds an expectation, so a single sample (largest) may exceed it.")
    say(taken.CONDITIONS)
    for line in said(left_out):
        say(f"Left out: {line}", indent="    ")
    same = _one_of_each(rows)
    if same:
        print(", ".join(same.values()))
    for norm, title in NORMS.items():
        _print([row for row in rows if row["norm"] == norm], title, [name for name in SAID if name not in same])


#: norm -> its title in the output
NORMS = {"c": "c (squared 2-norm)", "kappa": "kappa (max norm)"}
#: what is the same in all rows -> how this is said; otherwise it is a column
SAID = {"quantizer": "{}", "d": "d = {}", "distribution": "{} inputs", "trials": "{} trials"}
MEASURED = ("searched", "mean", "low", "high", "largest")


def _text(row: dict[str, Any], name: str) -> Any:
    """Return what a table shows in a column: all that is known of the quantizer stands in one."""
    if name != "quantizer":
        return row[name]
    return text(row["quantizer"], row["bits"], granularity.parse(row["granularity"]))


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


def _rows(chosen: Namespace, wanted: asked.Asked) -> list[dict[str, Any]]:
    """Return the rows of the atlas, in the order in which quantizers and granularities were named."""
    drawn = [name for name in wanted.distributions if name != "recorded"]
    options = {"trials": chosen.trials, "seed": chosen.seed, "recorded": _recorded(chosen)}
    rows: list[dict[str, Any]] = []
    for shared, bits, names in wanted.calls():
        for row in atlas(names, bits, wanted.dims, drawn, granularities=[shared], **options):
            rows.append(row | of_row(row))
    names, scales = (list(dict.fromkeys(row[key] for row in wanted.expected())) for key in ("quantizer", "granularity"))
    return sorted(rows, key=lambda r: (names.index(r["quantizer"]), r["bits"], scales.index(r["granularity"]), r["d"]))


def _fits(rows: Sequence[dict[str, Any]]) -> None:
    """Raise ValueError where a picture of these rows would have more curves than can be told apart."""
    from ..plot import contraction, style

    try:
        contraction.keys(rows)
    except contraction.TooMany as error:
        most, colours = error.most, len(style.PALETTE)
        hint = f", or a single --quantizer with {colours}" if error.what == "lines" else ""
        raise ValueError(
            f"--plot can show {most} {error.what}, but --{error.other} has {error.values} values beside another axis: "
            f"pass at most {most}{hint}"
        ) from None


def _plot(path: str, rows: list[dict[str, Any]], about: str) -> None:
    from ..plot import contraction
    from .plotting import picture

    with picture(path, contraction.titles(rows), about=about, columns=2, height=3.6) as (figure, panels):
        contraction.multiples(figure, panels, rows)


def _recorded(chosen: Namespace) -> np.ndarray | None:
    """Return all samples (samples, entries) of a recording with one layer, or with layers of one size."""
    if not (path := chosen.recorded):
        return None
    layers = recommendation.read_recording(path)
    sizes = {name: int(np.prod(a.shape[2:])) for name, a in layers.items() if a.ndim >= 3}
    if len(sizes) < len(layers) or len(set(sizes.values())) > 1:
        raise ValueError(f"--recorded {path}: needs arrays (steps, trials, d) of one d, got {sizes or 'other shapes'}")
    return np.concatenate([a.reshape(-1, sizes[name]) for name, a in layers.items()])
