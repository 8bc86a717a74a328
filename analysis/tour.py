"""``python -m analysis.tour``: execute docs/tour.ipynb and write it back with its outputs (extra [docs])."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modiff_sim.sweeps.store import write_atomic

from .running import interrupts
from .running.limits import Parser

PAGE = Path(__file__).parent.parent / "docs" / "tour.ipynb"


def execute(path: Path) -> Any:
    """Execute the notebook in a fresh kernel and return it as a node. The first error in a cell is raised.

    What changes with every run (execution times, the version of the kernel) is removed.
    """
    import nbformat
    from nbclient import NotebookClient

    page = nbformat.read(path, as_version=4)
    NotebookClient(page, timeout=120, kernel_name="python3", record_timing=False).execute(cwd=str(path.parent.parent))
    page.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for i, cell in enumerate(page.cells):
        cell.id = f"cell-{i}"
    return page


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    Parser(prog="python -m analysis.tour", description=__doc__).parse_args(arguments)
    import nbformat

    write_atomic(PAGE, nbformat.writes(execute(PAGE)) + "\n")
    print(f"wrote {PAGE}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.tour"))
