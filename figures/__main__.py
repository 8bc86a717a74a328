"""``python -m figures [--effort quick|full] [--only NAME ...] [--out DIR]``: makes the figures, see the package."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from analysis.running import interrupts
from analysis.running.limits import Parser
from modiff_sim.arguments import number
from modiff_sim.console import one_line
from modiff_sim.names import meant
from modiff_sim.parsing import Help, examples
from modiff_sim.sweeps.store import StoreError, write_atomic

from . import EFFORTS, Made, Unfit, document, is_live, keep, load, make, names
from .paper import FORMATS, WIDEST, fits, for_paper

PAGE = Path(__file__).parent.parent / "docs" / "figures.md"
EXAMPLES = (
    "phase_diagram certificates",
    "error_growth --width 6.8 --panels a c --format pdf svg",
    "bit_sweep --model fashion32 --bits 6 4 3 --width 3.3",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if chosen.page:
        write_atomic(PAGE, document())
        print(f"wrote {PAGE}", file=sys.stderr)
        return 0
    _check(parser, chosen)

    def refuse(name: str, error: Unfit) -> None:
        print(f"figures: {name}: {one_line(error)}", file=sys.stderr, flush=True)
        refused.append(name)

    seconds: dict[str, float] = {}
    refused: list[str] = []
    try:
        how: dict[str, Any] = {"model": chosen.model, "bits": chosen.bits, "report": show}
        if chosen.width or chosen.panels:
            how |= {"fits": partial(fits, width=chosen.width, panels=chosen.panels), "refused": refuse}
        for made in make(chosen.only, chosen.effort, chosen.out, **how):
            seconds[made.name] = round(made.seconds, 2)
            if chosen.keep and not is_live(load(made.name)):
                keep(made)
            if chosen.width or chosen.panels or chosen.format:
                for path in for_paper(made, chosen.width, chosen.panels, chosen.format or ["pdf"]):
                    print(f"{'':<28} {path}", flush=True)
    except (StoreError, ValueError, OSError) as error:
        print(f"figures: {one_line(error)}", file=sys.stderr)
        return 2
    if chosen.seconds:
        write_atomic(chosen.seconds, json.dumps(seconds, indent=1) + "\n")
    return 2 if refused else 0


def _parser() -> Parser:
    name = "python -m figures"
    about = "Compute and draw the figures."
    parser = Parser(prog=name, description=about, formatter_class=Help, epilog=examples(name, *EXAMPLES))
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these figures, as with --only")
    how = "how much to compute (default: quick; full with --model or --bits)"
    parser.add_argument("--effort", choices=EFFORTS, help=how)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help=f"only these figures (default: all): {', '.join(names())}"
    )
    parser.add_argument(
        "--out", default="out/figures", metavar="DIR", help="folder of the figures (default: out/figures)"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="with --effort full: keep the data of figures of trained models in figures/measured, for effort quick",
    )
    of = parser.add_argument_group(
        "figures of a trained model, measured anew for these into $MODIFF_OUT/results (out/results)"
    )
    of.add_argument("--model", metavar="M", help="a model of the zoo, a folder, a file, or a hub name")
    of.add_argument("--bits", nargs="+", type=int, metavar="B", help="bits of activations or residuals, such as 4 3")
    page = parser.add_argument_group("for a paper: one file per figure and format, and its caption as NAME.txt")
    page.add_argument("--width", type=float, metavar="IN", help="inches: 3.3 for a column, 6.8 for a page")
    page.add_argument("--panels", nargs="+", metavar="LETTER", help="only these panels of one figure, such as a c")
    page.add_argument("--format", nargs="+", choices=FORMATS, help="formats (default with --width: pdf)")
    parser.add_argument("--seconds", type=Path, metavar="PATH", help="write how long each figure took as JSON")
    parser.add_argument("--page", action="store_true", help="write docs/figures.md and stop")
    return parser


def _check(parser: Parser, chosen: argparse.Namespace) -> None:
    """Fill in what was not said, and end with an error where options do not fit together."""
    chosen.only = [*chosen.names, *(chosen.only or ())] or None
    own = chosen.model is not None or chosen.bits
    chosen.effort = chosen.effort or ("full" if own else "quick")
    if own and not chosen.only:
        parser.error("--model and --bits are of figures that are named: name one")
    if own and chosen.keep:
        parser.error("--keep keeps what quick runs show, and takes neither --model nor --bits")
    for name in chosen.only or ():
        if name not in names():
            parser.error(f"unknown figure {name!r}; known: {', '.join(names())}{meant(name, names())}")
    if chosen.width is not None:
        try:
            number("--width", chosen.width, above=0.0, below=WIDEST)
        except ValueError as error:
            parser.error(one_line(error))
    if chosen.panels and len(chosen.only or ()) != 1:
        parser.error("--panels are letters of one figure: name it")
    if chosen.keep and chosen.effort != "full":
        parser.error("--keep keeps what is measured at effort full: add --effort full")


def show(made: Made) -> None:
    """Print a line on a finished figure."""
    print(f"{made.name:<28} {made.seconds:6.1f} s  data {made.origin}  {made.png}", flush=True)


if __name__ == "__main__":
    sys.exit(interrupts.begin("figures.__main__"))
