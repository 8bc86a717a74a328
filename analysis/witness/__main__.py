"""The paper's statements on trained models of other people:  python -m analysis.witness [MODEL ...]

This prints the committed rows. --models PATH measures them again on the weights in that folder, which are no part of
this project; the same command goes on if it is interrupted (see --out). A file is recognised by its sha256.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from modiff_sim.console import one_line
from modiff_sim.sweeps.store import StoreError

from ..running import interrupts, workspace
from ..running.limits import MOST_THREADS, Parser, whole
from ..sampling.pictures import save_grid
from . import predicted, prediction
from . import rows as stored
from .measure import measure
from .witnesses import WITNESSES
from .write import text


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(
        prog="python -m analysis.witness", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="MODEL", help=f"which (default: all): {', '.join(WITNESSES)}")
    parser.add_argument("--models", type=Path, metavar="PATH", help="folder with their weights: measure the rows again")
    parser.add_argument(
        "--rows", type=Path, default=stored.COMMITTED, help="folder with the rows (default: the committed ones)"
    )
    parser.add_argument(
        "--out", type=Path, default=workspace.folder(), help="output folder of --models: rows and a grid of samples"
    )
    parser.add_argument("--workers", type=whole(1, MOST_THREADS), help="number of processes (default: one per core)")
    args = parser.parse_args(arguments)
    if unknown := [name for name in args.names if name not in WITNESSES]:
        parser.error(f"no witness {', '.join(unknown)}; known: {', '.join(WITNESSES)}")
    chosen = args.names or list(WITNESSES)
    try:
        if args.models:
            workspace.use(args.out)
            args.rows = args.out / "witness"
            for name in chosen:
                _measured(name, args)
        tables = [
            f"{text(stored.committed(name, args.rows))}\n{predicted.text(predicted.committed(name, args.rows))}"
            for name in chosen
        ]
    except (StoreError, ValueError, OSError) as error:
        print(f"witness: {one_line(error)}", file=sys.stderr)
        return 2
    print("\n".join(tables), end="")
    return 0


def _measured(name: str, args: argparse.Namespace) -> None:
    """Measure a witness into the output folder."""
    found, full = measure(name, args.models.resolve(), workers=args.workers)
    stored.save(args.rows / name, found, stored.manifest(name))
    errors = prediction.measure(name, args.models.resolve(), workers=args.workers)
    predicted.save(args.rows / name, errors, predicted.manifest(name))
    largest = max(1.0, float(np.quantile(np.abs(full), 0.98)))  # few values of a series are far beyond the others
    save_grid((full / largest).clip(-1.0, 1.0), args.rows / name / "full_precision.png", 16)
    print(f"wrote {args.rows / name}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.witness.__main__"))
