"""What ``python -m analysis.tables`` does, once its arguments are known to fit together."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from modiff_sim.console import one_line
from modiff_sim.names import one_of
from modiff_sim.nn import zoo
from modiff_sim.sweeps.store import StoreError, write_atomic

from .. import datasets, metrics
from ..metrics import outside, reference
from ..running import workspace
from . import rows as stored
from .keep import keep
from .layouts import TABLES, Table
from .measure import measure, wanted
from .rekey import rekey
from .write import FORMATS, Page, document, page, save

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


def run(args: argparse.Namespace) -> int:
    """Do what the arguments say, and return the exit code."""
    args.rows = args.rows or (stored.OUTSIDE if args.judge else stored.COMMITTED)
    args.out = args.out or workspace.folder()
    try:
        chosen = {name: TABLES[one_of("table", name, TABLES)] for name in args.tables or TABLES}
        if args.rekey:
            workspace.use(args.out)
            return _rekeyed(args)
        for name, table in chosen.items():  # before anything is measured
            there(name, table.rows, args.bits or ())
        if args.rerun:
            (_judged if args.judge else _measured)(args, chosen)
        pages = {name: page(name, t, stored.committed(t.model, args.rows), args.value) for name, t in chosen.items()}
        if args.bits:
            pages = {name: of_bits(made, args.bits) for name, made in pages.items()}
    except (StoreError, ValueError, OSError) as error:
        print(f"tables: {one_line(error)}", file=sys.stderr)
        return 2
    _show(args, pages)
    return 0


def _show(args: argparse.Namespace, pages: Mapping[str, Page]) -> None:
    """Write the page, or print the tables, and save them."""
    if args.page:
        write_atomic(PAGE, document(pages))
        print(f"wrote {PAGE}", file=sys.stderr)
    elif args.format == "markdown" and not args.tables:
        print(document(pages), end="")
    else:
        for made in pages.values():
            print(FORMATS[args.format](made))
    if args.save:
        save(pages, args.save)


#: the bits of activations in the name of a row
BITS = re.compile(r"W\d+A(\d+)\b")


def there(name: str, rows: Sequence[str], bits: Sequence[int]) -> dict[str, int]:
    """Return the bits of the rows that say them.

    Raises ValueError for bits of which the table has no row, and says how others are measured.
    """
    found = {row: int(said[1]) for row in rows if (said := BITS.search(row))}
    if unknown := sorted(set(bits) - set(found.values())):
        known = " ".join(map(str, sorted(set(found.values()) - {32}, reverse=True))) or "none that say bits"
        raise ValueError(
            f"table {name} has no rows of {' '.join(map(str, unknown))} bits; it has {known}. Other bits are "
            "measured by modiff_sim.nn.compare, whose result has latex(), or by python -m figures bit_sweep --bits"
        )
    return found


def of_bits(made: Page, bits: Sequence[int]) -> Page:
    """Return a table with the rows of these bits alone, and those that are in full precision or about no bits.

    Raises ValueError as ``there``.
    """
    said = there(made.name, [line[0] for line in made.lines], bits)
    return replace(made, lines=[line for line in made.lines if said.get(line[0], 32) in (*bits, 32)])


def _measured(args: argparse.Namespace, chosen: Mapping[str, Table]) -> None:
    """Measure the rows of these tables, into a folder of their own or among the others."""
    workspace.use(args.out)
    how = {"workers": args.workers, "scheduler": args.scheduler}
    for model in dict.fromkeys(table.model for table in chosen.values()):
        needed = wanted([name for name, table in chosen.items() if table.model == model])
        if args.missing:
            there = stored.committed(model, args.rows).measured.places()
            needed = [w for w in needed if (w.cell, w.images, w.seed) not in there]
            if not needed:
                print(f"{args.rows / model}: no row is missing", file=sys.stderr)
                continue
        found = measure(model, needed, **how)
        if args.keep:
            new, before = keep(model, found, args.rows, **how)
            print(f"{args.rows / model}: {new} rows are new, {before} stay", file=sys.stderr)
        else:
            stored.save(args.out / "tables" / model, found, stored.manifest(model))
    if not args.keep:
        args.rows = args.out / "tables"


def _judged(args: argparse.Namespace, chosen: Mapping[str, Table]) -> None:
    """Measure the rows of these tables in the features of a classifier of other people."""
    workspace.use(args.out)
    models = {table.model for table in chosen.values()}
    if len(models) > 1:
        raise ValueError(f"--judge is for tables of one model, not of {' and '.join(sorted(models))}")
    (model,) = models
    extractor = outside.load(args.judge)
    real = datasets.load(zoo.data_set(model), args.data)
    judge = metrics.Judge(model, reference.compute(real, extractor))
    found = measure(model, wanted(list(chosen)), judge=judge, workers=args.workers, scheduler=args.scheduler)
    if not args.keep:
        args.rows = args.out / "outside"
    stored.save(args.rows / model, replace(found, pictures={}), stored.manifest(model, judge))
    stored.committed.cache_clear()


def _rekeyed(args: argparse.Namespace) -> int:
    """Note this code beside the rows of every model that the folder has."""
    models = dict.fromkeys(table.model for table in TABLES.values())
    if not (present := [model for model in models if (args.rows / model).is_dir()]):
        raise StoreError(f"{args.rows}: it has rows of none of {', '.join(models)}")
    for model in present:
        cells, largest = rekey(model, args.rows, workers=args.workers, scheduler=args.scheduler)
        print(
            f"{model}: {cells} cells agree, the largest difference of a mean or rms pixel is {largest:.1e}"
            if cells
            else f"{model}: the rows were already made with this code"
        )
    return 0
