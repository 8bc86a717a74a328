"""Try a seeded sample of mutants, and count those that no test noticed.

Every outcome is written to a log at once. Mutants that were killed are not tried again with --resume; one that survived
is, if the tests of its area have changed since. The exit code is 1 if any survived.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from modiff_sim.sweeps.encoding import canonical
from modiff_sim.sweeps.files import digest_of
from modiff_sim.sweeps.rowlog import Entry, RowLog

from ..running import interrupts, workspace
from ..running.limits import MOST_SEED, Parser, check_file, whole
from .areas import AREAS, ROOT, Area
from .mutants import Mutant, equivalent, sample
from .table import counted, table
from .trial import Tester, copied

MOST = 100_000  # more mutants than there are


def _digest(value: object) -> str:
    return digest_of(canonical(value).encode())


def _read(*files: str) -> list[str]:
    return [(ROOT / file).read_text(encoding="utf-8") for file in files]


def outcomes(mutants: Sequence[Mutant], areas: Mapping[str, Area], log: RowLog) -> Iterator[dict[str, Any]]:
    """Yield the row of every mutant; those that are not in the log are tried and added to it."""
    same = equivalent()
    tests = {name: _digest(_read(*area.tests, *area.wider)) for name, area in areas.items()}
    killed = {row["mutant"]: row for row in (e.row for e in log.entries().values()) if row["outcome"] != "survived"}
    with copied() as folder, Tester(folder) as tester:
        for mutant in mutants:
            about = {**asdict(mutant), "diff": list(mutant.diff)}
            name = _digest([about, _read(mutant.file)])
            key = _digest([name, tests[mutant.area]])
            if name in killed:
                yield killed[name]
            elif (mutant.file, mutant.diff) in same:
                yield {**about, "outcome": "equivalent"}
            elif key in log.entries():
                yield log.entries()[key].row
            else:
                row = {"mutant": name, **about, **tester.tried(mutant, areas[mutant.area])}
                log.append(key, Entry(row))
                yield row


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(
        prog="python -m analysis.mutation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="areas:\n" + "\n".join(f"  {area.name:12} {' '.join(area.sources)}" for area in AREAS),
    )
    parser.add_argument("--seed", type=whole(0, MOST_SEED), default=0, help="seed of the sample (default: 0)")
    parser.add_argument("--count", type=whole(1, MOST), default=300, help="how many mutants (default: 300)")
    parser.add_argument(
        "--area", action="append", choices=[area.name for area in AREAS], help="only this area; may be repeated"
    )
    parser.add_argument("--log", type=Path, help="the log (default: mutation/SEED.jsonl in the output folder)")
    parser.add_argument("--resume", action="store_true", help="go on with a log that exists")
    args = parser.parse_args(arguments)
    areas = {area.name: area for area in AREAS if args.area is None or area.name in args.area}
    path = args.log or workspace.folder() / "mutation" / f"{args.seed}.jsonl"
    try:
        check_file(path, (".jsonl",))
        if path.exists() and not args.resume:
            raise FileExistsError(f"{path} exists; --resume goes on with it, and --log names another file")
        mutants = list(sample(list(areas.values()), args.seed, args.count))
    except (OSError, ValueError) as error:
        parser.error(f"{error}")
    except ImportError as error:
        parser.error(f'{error}; pip install "modiff-sim[mutation]" brings it')
    start, rows = time.monotonic(), []
    for number, row in enumerate(outcomes(mutants, areas, RowLog(path)), 1):
        rows.append(row)
        place = f"{row['file']}:{row['line']}"
        print(f"{number}/{len(mutants)} {row['outcome']} {place} {row.get('by', '')}", file=sys.stderr, flush=True)
    survivors = [row for row in rows if row["outcome"] == "survived"]
    for row in survivors:
        print("\n".join([f"survived: {row['file']}:{row['line']} {row['definition']}", *row["diff"], ""]))
    print(table(counted(rows)))
    print(f"{len(rows)} mutants, seed {args.seed}, in {(time.monotonic() - start) / 60:.0f} min")
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.mutation.__main__"))
