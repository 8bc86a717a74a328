"""The paper's tables on the models of the zoo:  python -m analysis.tables [TABLE ...]

This prints them from the committed rows. --rerun measures the rows again; if it is interrupted, the same command goes
on (see --out). With --keep they then take the place of the committed rows of the same cells. --rekey shows that changed
code still gives the committed rows, and notes this beside them.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from modiff_sim import registry
from modiff_sim.console import importing
from modiff_sim.names import meant
from modiff_sim.parsing import Help, examples

from ..running import interrupts
from ..running.limits import Parser

HERE = Path(__file__).parent
#: of ``write.VALUES``: the excess, and what the audit counted; the others are metrics
OTHER_VALUES = ("excess", "gbops", "mac_share", "activation_bits")
EXAMPLES = ("1 4", "1 --value psnr --bits 4 3 --format latex", "16 --rerun --keep")


class _Help(Help, argparse.RawDescriptionHelpFormatter):
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    args = parser.parse_args(arguments)
    _check(parser, args)
    with importing(parser.prog) if arguments is None else nullcontext():
        from . import command  # with PyTorch, for which --help does not wait
    return command.run(args)


def tables() -> list[str]:
    """Return the names of the tables, by their numbers, read from the file that has them."""
    known = registry.named(HERE, "TABLES")
    return sorted(known, key=lambda name: (int("0" + re.sub(r"\D.*", "", name)) or sys.maxsize, name))


def values() -> list[str]:
    """Return the values that tables show, read from the files of the metrics."""
    folder = Path(registry.__file__).parent / "metrics"
    metrics = registry.named(folder, "METRICS")
    texts = {module: (folder / f"{module}.py").read_text(encoding="utf-8") for module in metrics.values()}
    of_all_calls = r'"{}": Metric\([^\n]*over="trajectories"'
    shown = [name for name, module in metrics.items() if not re.search(of_all_calls.format(name), texts[module])]
    return [OTHER_VALUES[0], *shown, *OTHER_VALUES[1:]]


def _parser() -> Parser:
    """Return the parser. It imports nothing that takes long."""
    name = "python -m analysis.tables"
    parser = Parser(prog=name, description=__doc__, formatter_class=_Help, epilog=examples(name, *EXAMPLES))
    parser.add_argument(
        "tables", nargs="*", metavar="TABLE", help=f"which tables (default: all): {', '.join(tables())}"
    )
    shown = f"the value to show (default: {OTHER_VALUES[0]}): {', '.join(values())}"
    parser.add_argument("--value", default=OTHER_VALUES[0], metavar="NAME", help=shown)
    parser.add_argument(
        "--bits", type=int, nargs="+", metavar="B", help="only rows with so many bits of activations, such as 4 3"
    )
    formats = list(registry.named(HERE, "FORMATS"))
    parser.add_argument("--format", default="text", choices=formats, help="how to print it (default: text)")
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
    judge = "with --rerun: judge the images by a ResNet of other people; --keep writes to analysis/tables/outside"
    parser.add_argument("--judge", type=Path, metavar="FILE", help=judge)
    parser.add_argument("--data", type=Path, help="with --judge: the images that the model was trained on")
    parser.add_argument("--rows", type=Path, help="folder with the rows (default: the committed ones)")
    parser.add_argument("--out", type=Path, help="output folder of --rerun and --rekey (default: $MODIFF_OUT, or out)")
    parser.add_argument("--workers", type=int, help="number of their processes (default: one per core)")
    parser.add_argument("--scheduler", help="address of a Dask scheduler for them, tcp://HOST:PORT")
    return parser


def _check(parser: Parser, args: argparse.Namespace) -> None:
    """End with an error where arguments do not fit together."""
    if args.value not in (known := values()):
        parser.error(f"no value {args.value!r}; known: {', '.join(known)}{meant(args.value, known)}")
    if args.rekey and (args.rerun or args.tables):
        parser.error("--rekey is for all rows, and takes neither tables nor --rerun")
    if args.keep and not args.rerun:
        parser.error("--keep is for rows that --rerun measures")
    if args.missing and not args.keep:
        parser.error("--missing is for rows that --keep puts among the others")
    if args.judge and (not args.rerun or args.missing):
        parser.error("--judge is for rows that --rerun measures, all of a table's")
    if args.data and not args.judge:
        parser.error("--data is for rows that --judge judges")
    if args.page and (args.rerun or args.rekey or args.tables):
        parser.error("--page is of all committed rows, and takes neither tables nor --rerun nor --rekey")


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.tables.__main__"))
