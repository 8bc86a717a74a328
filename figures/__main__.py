"""``python -m figures [--effort quick|full] [--only NAME ...] [--out DIR]``: make the figures; see the package."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from analysis.running import interrupts
from analysis.running.limits import Parser

from . import EFFORTS, make, names


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser(prog="python -m figures", description="Compute and draw the figures.")
    parser.add_argument("--effort", choices=EFFORTS, default="quick", help="how much to compute (default: quick)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"these figures only: {', '.join(names())}")
    parser.add_argument("--out", default="out/figures", metavar="DIR", help="folder (default: out/figures)")
    chosen = parser.parse_args(arguments)
    for name in chosen.only or ():
        if name not in names():
            parser.error(f"unknown figure {name!r}; known: {', '.join(names())}")
    make(chosen.only, chosen.effort, chosen.out, report=lambda line: print(line, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("figures.__main__"))
