"""``python -m figures [--effort quick|full] [--only NAME ...] [--out DIR]``: makes the figures, see the package."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.running import interrupts
from analysis.running.limits import Parser
from modiff_sim.sweeps.store import write_atomic

from . import EFFORTS, document, make, names

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
    parser.add_argument("--page", action="store_true", help="write docs/figures.md and stop")
    chosen = parser.parse_args(arguments)
    if chosen.page:
        write_atomic(PAGE, document())
        print(f"wrote {PAGE}", file=sys.stderr)
        return 0
    for name in chosen.only or ():
        if name not in names():
            parser.error(f"unknown figure {name!r}; known: {', '.join(names())}")
    make(chosen.only, chosen.effort, chosen.out, report=lambda line: print(line, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("figures.__main__"))
