"""Try one kind of fault many times and count what happened.

The same seed tries the same faults. The exit code is 1 if any outcome was wrong; those attempts are printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

from ..running import interrupts
from ..running.limits import Parser
from . import Attempt

#: kind -> (what is tried, how often it was tried for docs/faults.md)
KINDS = {
    "kills": ("a sweep is killed at random moments, and the same command finishes it", 200),
    "workers": ("a worker or the driver of two processes is killed or terminated", 20),
    "corruptions": ("a file of a finished sweep is damaged, and verify must name it", 1120),
    "interrupts": ("Ctrl-C at a random moment of a modulated run; the model must be unchanged", 1500),
    "fuzz": ("each program gets this many random command lines", 1000),
}


def attempts(kind: str, times: int, seed: int, folder: Path) -> Iterator[Attempt]:
    """Yield the attempts of one kind as they happen."""
    module: Callable[..., Iterator[Attempt]] = import_module(f".{kind}", __package__).attempts
    return module(times, seed, folder)


def tally(tried: Iterator[Attempt]) -> tuple[Counter[tuple[str, str]], list[Attempt]]:
    """Count (what, outcome), and collect the attempts whose outcome was wrong."""
    counted: Counter[tuple[str, str]] = Counter()
    wrong = []
    for attempt in tried:
        counted[attempt.what, attempt.outcome] += 1
        if not attempt.right:
            wrong.append(attempt)
    return counted, wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(
        prog="python -m analysis.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"{kind:12} {text} (default: {times} times)" for kind, (text, times) in KINDS.items()),
    )
    parser.add_argument("kind", choices=KINDS, help="the kind of fault, see below")
    parser.add_argument("--times", type=int, help="how often (default: as often as docs/faults.md says)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments and the places (default: 0)")
    args = parser.parse_args(arguments)
    times = KINDS[args.kind][1] if args.times is None else args.times
    if times < 0 or args.seed < 0:
        parser.error("--times and --seed must be at least 0")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        counted, wrong = tally(attempts(args.kind, times, args.seed, Path(folder)))
    for (what, outcome), count in sorted(counted.items()):
        print(f"{count:6} {what}: {outcome}")
    for attempt in wrong:
        print(f" WRONG {attempt.what}: {attempt.outcome}")
    kinds, seconds = len({what for what, _ in counted}), time.monotonic() - start
    print(f"{counted.total()} attempts of {kinds} kinds in {seconds:.0f} s: {len(wrong)} wrong")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.faults.__main__"))
