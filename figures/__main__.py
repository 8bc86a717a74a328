"""``python -m figures [--effort quick|full] [--only NAME ...] [--out DIR]``: makes the figures, see the package."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.running import interrupts
from analysis.running.limits import Parser
from modiff_sim.console import one_line
from modiff_sim.sweeps.store import StoreError, write_atomic

from . import EFFORTS, Made, document, is_live, keep, load, make, names

PAGE = Path(__file__).parent.parent / "docs" / "figures.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(prog="python -m figures", description="Compute and draw the figures.")
    parser.add_argument("--effort", choices=EFFORTS, default="quick", help="how much to compute (default: quick)")
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
    parser.add_argument("--seconds", type=Path, metavar="PATH", help="write how long each figure took as JSON")
    parser.add_argument("--page", action="store_true", help="write docs/figures.md and stop")
    chosen = parser.parse_args(arguments)
    if chosen.page:
        write_atomic(PAGE, document())
        print(f"wrote {PAGE}", file=sys.stderr)
        return 0
    for name in chosen.only or ():
        if name not in names():
            parser.error(f"unknown figure {name!r}; known: {', '.join(names())}")
    if chosen.keep and chosen.effort != "full":
        parser.error("--keep keeps what is measured at effort full: add --effort full")
    seconds = {}
    try:
        for made in make(chosen.only, chosen.effort, chosen.out, report=show):
            seconds[made.name] = round(made.seconds, 2)
            if chosen.keep and not is_live(load(made.name)):
                keep(made)
    except StoreError as error:
        print(f"figures: {one_line(error)}", file=sys.stderr)
        return 2
    if chosen.seconds:
        write_atomic(chosen.seconds, json.dumps(seconds, indent=1) + "\n")
    return 0


def show(made: Made) -> None:
    """Print a line on a finished figure."""
    print(f"{made.name:<28} {made.seconds:6.1f} s  data {made.origin}  {made.png}", flush=True)


if __name__ == "__main__":
    sys.exit(interrupts.begin("figures.__main__"))
