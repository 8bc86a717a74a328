"""Random command lines for every program of this project. Each must succeed, or say in one line why it does not.

Options come from the programs' own parsers. Values are good ones, ones at the bounds, and junk. Files exist, are
missing or damaged, or are folders or pipes. An outcome is right if the exit code is 0, or 1 or 2 with a message of one
line (argparse's usage may precede it), without a traceback, a warning, hanging, or a file written outside the folder of
the attempt. ``main(arguments)`` is called in one process; where a command line kills that process, another continues
behind it. ``fuzz_programs`` says which parts of which programs are replaced by stubs, because they take minutes.
"""

from __future__ import annotations

import json
import os
import queue
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import Attempt
from .fuzz_programs import PROGRAMS

PATIENCE = 180.0  # seconds of silence after which the process is taken to hang where no alarm reaches it
CHILD = (sys.executable, "-m", "analysis.faults.fuzz_child")
ROOT = Path(__file__).parents[2]


def attempts(times: int, seed: int, folder: Path) -> Iterator[Attempt]:
    """Try ``times`` command lines of every program. A wrong outcome names the command line."""
    count, at = times * len(PROGRAMS), 0
    while at < count:
        begun: dict[str, Any] | None = None
        ended = ""
        for about in _reports(folder, seed, times, at):
            if isinstance(about, str):
                ended = about
            elif "what" in about:
                begun, at = about, about["at"] + 1
            elif begun is not None:
                yield _attempt(begun, about["outcome"], about["right"])
                begun = None
        if begun is not None:
            yield _attempt(begun, ended, False)
        elif at < count:
            raise RuntimeError(f"the fuzzing process {ended} before attempt {at} of {count}")


def _attempt(begun: dict[str, Any], outcome: str, right: bool) -> Attempt:
    said = outcome if right else f"{outcome} <- {shlex.join(begun['arguments'])}"
    return Attempt(f"fuzzed command line of {begun['what']}", said, right)


def _reports(folder: Path, seed: int, times: int, first: int) -> Iterator[dict[str, Any] | str]:
    """Yield what one process reports, and finally how it ended."""
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), "MPLCONFIGDIR": str(folder / "matplotlib"),
        "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "MODIFF_WORKERS": "1",
    }  # fmt: skip
    command = [*CHILD, str(folder), str(seed), str(times), str(first)]
    for name in ("hub", "matplotlib"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with open(folder / "log", "ab") as log:
        child = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL
        )
    lines: queue.Queue[bytes] = queue.Queue()

    def read() -> None:
        assert child.stdout is not None
        with child.stdout as reports:
            for line in reports:
                lines.put(line)
        lines.put(b"")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while line := lines.get(timeout=PATIENCE):
            yield json.loads(line)
        code = child.wait(timeout=PATIENCE)
        yield f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    except (queue.Empty, subprocess.TimeoutExpired):
        yield f"hung for {PATIENCE:.0f} s where no alarm reaches it"
    finally:
        child.kill()
        child.wait()
        reader.join()
