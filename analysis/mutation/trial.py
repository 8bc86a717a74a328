"""One mutant at a time in a copy of the checkout, which is thrown away at the end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import cache_from_source
from pathlib import Path
from typing import IO, Any

from .areas import ROOT, Area
from .mutants import Mutant

#: a mutant has this many times the processor time of the unchanged code, and these seconds on top
PATIENCE = (3.0, 5.0)
LONGEST = 1800.0  # seconds of processor time for the tests of unchanged code


@contextmanager
def copied(root: Path = ROOT) -> Iterator[Path]:
    """Yield a folder with the files that git has or would add, as they are in the working tree; it is removed then."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        check=True,
        capture_output=True,
    )
    with tempfile.TemporaryDirectory(prefix="mutation-") as made:
        folder = Path(made) / "checkout"
        for name in listed.stdout.decode().split("\0"):
            if name and (root / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, folder / name)
        (Path(made) / "tmp").mkdir()
        yield folder


@dataclass
class Tester:
    """Tests mutants in a copy of the checkout.

    folder: the copy.
    """

    folder: Path
    _needed: dict[tuple[str, ...], float] = field(default_factory=dict)

    def __enter__(self) -> Tester:
        environment = os.environ | {
            "PYTHONPATH": str(self.folder), "TMPDIR": str(self.folder.parent / "tmp"), "OMP_NUM_THREADS": "1",
            "MPLBACKEND": "Agg", "HYPOTHESIS_PROFILE": "ci",
        }  # fmt: skip
        self._server = subprocess.Popen(
            [sys.executable, "-m", "analysis.mutation.server"],
            cwd=self.folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        with self._server:  # it closes the pipes and waits
            self._server.kill()

    def _ask(self, tests: Sequence[str], seconds: float, *, unchanged: bool) -> dict[str, Any]:
        request = {"tests": list(tests), "seconds": seconds, "unchanged": unchanged}
        stdin, stdout = _open(self._server.stdin), _open(self._server.stdout)
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        if not (answer := stdout.readline()):
            raise RuntimeError("the process that runs the tests has ended; run the same command with --resume")
        found: dict[str, Any] = json.loads(answer)
        return found

    def allowed(self, tests: Sequence[str]) -> float:
        """Return the seconds of processor time that a mutant gets for these tests, from a run on the unchanged code.

        Raises RuntimeError where a test fails without any mutant.
        """
        files = tuple(sorted(tests))
        if files not in self._needed:
            found = self._ask(files, LONGEST, unchanged=True)
            if found["outcome"] != "passed":
                raise RuntimeError(f"without any mutant: {found['outcome']} {found['test']}; mend that first")
            self._needed[files] = found["seconds"]
        times, more = PATIENCE
        return times * self._needed[files] + more

    def tried(self, mutant: Mutant, area: Area) -> dict[str, Any]:
        """Return "outcome" (killed, timeout or survived), "by" (which test) and "seconds" of a mutant."""
        path, took = self.folder / mutant.file, 0.0
        for tests in (area.ordered(mutant.file, self.folder), area.wider):
            limit = self.allowed(tests)
            with mutant.applied(path):
                Path(cache_from_source(str(path))).unlink(missing_ok=True)
                found = self._ask(tests, limit, unchanged=False)
            took += found["seconds"]
            if found["outcome"] != "passed":
                outcome = "timeout" if found["outcome"] == "timeout" else "killed"
                return {"outcome": outcome, "by": found["test"], "seconds": round(took, 1)}
        return {"outcome": "survived", "by": "", "seconds": round(took, 1)}


def _open(stream: IO[str] | None) -> IO[str]:
    if stream is None:  # pragma: no cover - both are pipes
        raise RuntimeError("the server has no pipe")
    return stream
