"""A process that has imported the libraries, and runs tests in forked children:  python -m analysis.mutation.server

It stands in the folder that is tested, and imports nothing from it: a child imports the code as it then is. Each line
of stdin is a request, each line of stdout its answer, both JSON: the arguments of ``tried``, and what it returns.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any, NoReturn

#: what tests import from elsewhere; a library that is not installed is left out
LIBRARIES = (
    "pytest", "_pytest.doctest", "hypothesis.strategies", "hypothesis.extra.numpy", "numpy", "scipy.linalg",
    "scipy.optimize", "scipy.signal", "scipy.sparse.linalg", "scipy.spatial", "scipy.special", "scipy.stats",
    "array_api_compat.numpy", "array_api_strict", "ml_dtypes", "torch", "sklearn.linear_model", "sklearn.datasets",
)  # fmt: skip
MEMORY = 12 * 2**30  # bytes of address space of a child: a mutant may ask for any size
GLANCE = 0.02  # seconds between two looks at a child
WAIT = 10  # a child that waits for something is killed after this many times the processor time that it is allowed
PAUSE = 1.0  # two looks further apart count as this: everything was stopped, and not slow


class FirstFailure:
    """A plugin of pytest that notes the first test, or the first file, that failed."""

    test = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note a test."""
        self._note(report)

    def pytest_collectreport(self, report: Any) -> None:
        """Note a file that cannot be imported."""
        self._note(report)

    def _note(self, report: Any) -> None:
        if report.failed and not self.test:
            self.test = report.nodeid


def tried(tests: Sequence[str], seconds: float, unchanged: bool) -> dict[str, Any]:
    """Run tests until one fails.

    tests: files, in this order.
    seconds: of processor time, after which the child ends; it is killed, with everything that it started, if it is
             still there after ``WAIT`` times as long.
    unchanged: whether the code is as in the checkout, so that its bytecode may be kept.

    Returns "outcome" ("passed", "failed" or "timeout"), "test" (which one failed, or how the process ended) and
    "seconds" (its processor time, which other work on the machine does not prolong).
    """
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        _run(tests, seconds, unchanged, sender)
    os.close(sender)
    os.set_blocking(receiver, False)
    ended, waited, last = 0, 0.0, time.monotonic()
    while not ended and waited < WAIT * seconds:
        time.sleep(GLANCE)
        ended, status, usage = os.wait4(child, os.WNOHANG)
        now = time.monotonic()
        waited, last = waited + min(now - last, PAUSE), now
    for kill in (os.killpg,) if ended else (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(child, signal.SIGKILL)
    if not ended:
        _, _, usage = os.wait4(child, 0)
    late = not ended or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU)
    outcome, test = ("timeout", "") if late else _answer(receiver, status)
    os.close(receiver)
    return {"outcome": outcome, "test": test, "seconds": round(usage.ru_utime + usage.ru_stime, 2)}


def _answer(receiver: int, status: int) -> tuple[str, str]:
    """The outcome that a child wrote, and the test; what its end says if it wrote nothing."""
    with contextlib.suppress(BlockingIOError):
        if written := os.read(receiver, 2**16):
            code, test = json.loads(written)
            return ("passed", "") if code == 0 else ("failed", test or f"pytest's exit code {code}")
    code = os.waitstatus_to_exitcode(status)
    return "failed", f"the process died: {signal.Signals(-code).name if code < 0 else f'exit code {code}'}"


def _run(tests: Sequence[str], seconds: float, unchanged: bool, sender: int) -> NoReturn:
    """Run the tests in a child, write what happened, and end the child."""
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        if not unchanged:
            sys.dont_write_bytecode = True
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds) + 60))
        import pytest

        first = FirstFailure()
        code = pytest.main([*tests, "-x", "-q", "-p", "no:cacheprovider", "--assert=plain"], plugins=[first])
        os.write(sender, json.dumps([int(code), first.test]).encode())
        os._exit(0)
    finally:  # whatever was raised, this process must not go on as the server
        os._exit(1)


def main() -> int:
    """Answer requests until stdin ends."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(tried(**json.loads(line))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
