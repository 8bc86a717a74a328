"""The paper's tables on the models of the zoo:  python -m analysis.tables [TABLE ...]

This prints them from the committed rows. --rerun measures the rows again; if it is interrupted, the same command goes
on (see --out). With --keep they then take the place of the committed rows of the same cells. --rekey shows that changed
code still gives the committed rows, and notes this beside them.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from modiff_sim.console import one_line
from modiff_sim.sweeps.store import StoreError, write_atomic

from ..running import interrupts, workspace
from ..running.limits import Parser
from . import rows as stored
from .keep import keep
from .layouts import TABLES, Table
from .measure import measure, wanted
from .rekey import rekey
from .write import EXCESS, FORMATS, VALUES, Page, document, page, save

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(
        prog="python -m analysis.tables", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"which tables (default: all): {', '.join(TABLES)}")
    parser.add_argument("--value", default=EXCESS, choices=list(VALUES), help=f"the value to show (default: {EXCESS})")
    parser.add_argument(
        "--bits", type=int, nargs="+", metavar="B", help="only rows with so many bits of activations, such as 4 3"
    )
    parser.add_argument("--format", default="text", choices=list(FORMATS), help="how to print it (default: text)")
    parser.add_argument("--page", action="store_true", help="write docs/tables.md and stop")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write every table in every format into this folder")
    parser.add_argument("--rerun", action="store_true", help="measure the rows of these tables again into OUT/tables")
    parser.add_argument("--keep", action="store_true", help="with --rerun: put the measured rows among those of ROWS")
    parser.add_argument("--missing", action="store_true", help="with --keep: measure only rows that ROWS does not have")
    parser.add_argument(
        "--rekey",
        action="store_true",
        help="sample the first micro-batch of each cell again; if it agrees, note this code in the manifest of ROWS",
    )
    parser.add_argument(
        "--rows", type=Path, default=stored.COMMITTED, help="folder with the rows (default: the committed ones)"
    )
    parser.add_argument("--out", type=Path, default=workspace.folder(), help="output folder of --rerun and --rekey")
    parser.add_argument("--workers", type=int, help="number of their processes (default: one per core)")
    parser.add_argument("--scheduler", help="address of a Dask scheduler for them, tcp://HOST:PORT")
    args = parser.parse_args(arguments)
    if unknown := [name for name in args.tables if name not in TABLES]:
        parser.error(f"no table {', '.join(unknown)}; known: {', '.join(TABLES)}")
    if args.rekey and (args.rerun or args.tables):
        parser.error("--rekey is for all rows, and takes neither tables nor --rerun")
    if args.keep and not args.rerun:
        parser.error("--keep is for rows that --rerun measures")
    if args.missing and not args.keep:
        parser.error("--missing is for rows that --keep puts among the others")
    if args.page and (args.rerun or args.rekey or args.tables):
        parser.error("--page is of all committed rows, and takes neither tables nor --rerun nor --rekey")
    chosen = {name: TABLES[name] for name in args.tables or TABLES}
    try:
        if args.rekey:
            workspace.use(args.out)
            return _rekeyed(args)
        if args.rerun:
            _measured(args, chosen)
        pages = {name: page(name, t, stored.committed(t.model, args.rows), args.value) for name, t in chosen.items()}
        if args.bits:
            pages = {name: of_bits(made, args.bits) for name, made in pages.items()}
    except (StoreError, ValueError, OSError) as error:
        print(f"tables: {one_line(error)}", file=sys.stderr)
        return 2
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
    return 0


#: the bits of activations in the name of a row
BITS = re.compile(r"W\d+A(\d+)\b")


def of_bits(made: Page, bits: Sequence[int]) -> Page:
    """Return a table with the rows of these bits alone, and those that are in full precision or about no bits.

    Raises ValueError for bits of which it has no row, and says how others are measured.
    """
    there = {line[0]: int(found[1]) for line in made.lines if (found := BITS.search(line[0]))}
    if unknown := sorted(set(bits) - set(there.values())):
        known = " ".join(map(str, sorted(set(there.values()) - {32}, reverse=True))) or "none that say bits"
        raise ValueError(
            f"table {made.name} has no rows of {' '.join(map(str, unknown))} bits; it has {known}. Other bits are "
            "measured by modiff_sim.nn.compare, whose result has latex(), or by python -m figures bit_sweep --bits"
        )
    return replace(made, lines=[line for line in made.lines if there.get(line[0], 32) in (*bits, 32)])


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


def _rekeyed(args: argparse.Namespace) -> int:
    for model in dict.fromkeys(table.model for table in TABLES.values()):
        cells, largest = rekey(model, args.rows, workers=args.workers, scheduler=args.scheduler)
        print(
            f"{model}: {cells} cells agree, the largest difference of a mean or rms pixel is {largest:.1e}"
            if cells
            else f"{model}: the rows were already made with this code"
        )
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.tables.__main__"))
