"""The process that runs fuzzed command lines, one after the other: ``python -m analysis.faults.fuzz_child``.

It writes a line of JSON before each of them and another after it, to the stdout that it was started with. It may die or
hang, which is a finding: ``fuzz`` then starts another process behind that command line.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from . import fuzz_lines
from .fuzz_programs import PROGRAMS

#: seconds that a command line may compute, and that it may take on a busy machine
BUSY, WAITING = (float(text) for text in os.environ.get("MODIFF_FUZZ_SECONDS", "20 90").split())
MEMORY = 8 * 2**30
PROGRESS = re.compile(r"\d+ of \d+(, about .* left)?$|^step \d+/\d+ ")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = frozenset({"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate"})


#: where an attempt runs: in folders of its own, because a command line may name the folder above, and that above it
PLACE = Path("attempt", "in", "here")


class Hung(BaseException):
    """The alarm went off: a command line took too long."""


class Reached(BaseException):
    """Carries the parser out of a program as soon as it is asked to parse."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def parser_of(main: Callable[[list[str]], Any]) -> argparse.ArgumentParser:
    """Return the parser that a program makes for itself."""

    def caught(parser: argparse.ArgumentParser, *_: Any) -> None:
        raise Reached(parser)

    try:
        with mock.patch.object(argparse.ArgumentParser, "parse_args", caught):
            main([])
    except Reached as reached:
        return reached.parser
    raise AssertionError(f"{main.__module__} has no parser")


class Watch:
    """While it is on, notes what is written outside the folder of an attempt, without the caches of libraries."""

    def __init__(self, folder: Path) -> None:
        self.on = False
        self.outside: list[str] = []
        self.inside = (*(str(folder / name) for name in (PLACE.parts[0], "hub", "matplotlib")), "/dev/", "/proc/")
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
            self._note(arguments[0])
        elif event in CHANGES:
            for path in arguments[: 2 if event in ("os.rename", "os.link") else 1]:
                self._note(path)

    def _note(self, path: Any) -> None:
        if isinstance(path, int):
            return
        where = os.path.abspath(os.fsdecode(path))
        if not where.startswith(self.inside) and "__pycache__" not in where:
            self.outside.append(where)


@contextmanager
def _captured(folder: Path) -> Iterator[list[str]]:
    """Yield a list that receives, at the end, the text of both output streams of this process and its children."""
    found: list[str] = []
    kept = [os.dup(1), os.dup(2)]
    with open(folder / "stdout", "w+b") as out, open(folder / "stderr", "w+b") as errors:
        for stream, file, number in ((sys.stdout, out, 1), (sys.stderr, errors, 2)):
            stream.flush()
            os.dup2(file.fileno(), number)
        try:
            yield found
        finally:
            for stream, number, before in ((sys.stdout, 1, kept[0]), (sys.stderr, 2, kept[1])):
                stream.flush()
                os.dup2(before, number)
                os.close(before)
            for file in (out, errors):
                file.seek(0)
                found.append(file.read().decode("utf-8", "replace"))


def _ring(number: int, *_: Any) -> None:
    raise Hung(f"computed for {BUSY:.0f} s" if number == signal.SIGPROF else f"hung for {WAITING:.0f} s")


def called(main: Callable[[list[str]], Any], arguments: list[str]) -> int | str:
    """Return the exit code, or what went wrong instead."""
    signal.setitimer(signal.ITIMER_PROF, BUSY)
    signal.setitimer(signal.ITIMER_REAL, WAITING)
    try:
        code = main(arguments)
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except Hung as hung:
        return str(hung)
    except BaseException as error:
        return f"traceback: {type(error).__name__}: {str(error)[:300]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    return int(code or 0)


def judged(code: int | str, out: str, errors: str, outside: list[str]) -> tuple[str, bool]:
    """Return (the outcome, whether it is right)."""
    if isinstance(code, str):
        return code, False
    if outside:
        return f"wrote outside of its folder: {outside[0]}", False
    if "Traceback" in out + errors or "Warning" in errors:
        return f"exit code {code}, with noise: {errors[-300:]}", False
    if code == 0:
        return "exit code 0", True
    message, usage = [], False
    for text in filter(None, errors.splitlines()):
        usage = text.startswith("usage:") or (usage and text.startswith(" "))
        if not usage and not PROGRESS.search(text):
            message.append(text)
    if code not in (1, 2):
        return f"exit code {code}", False
    if len(message) != 1 and not (code == 1 and not message and out):
        return f"exit code {code}, {len(message)} lines: {errors[-300:]}", False
    return f"exit code {code}, one line", True


def run(folder: Path, seed: int, times: int, first: int, report: Callable[[dict[str, Any]], None]) -> None:
    """Run the attempts from number ``first`` on, out of ``times`` for each program."""
    watch, master, place = Watch(folder), folder / "given", folder / PLACE
    if not master.exists():
        master.mkdir(parents=True)
        fuzz_lines.given(master)
    signal.signal(signal.SIGALRM, _ring)
    signal.signal(signal.SIGPROF, _ring)
    for i, (name, program) in enumerate(PROGRAMS.items()):
        if first >= (i + 1) * times:
            continue
        main = program.main()
        parser = parser_of(main)
        if program.command:
            parser = fuzz_lines.subparsers(parser)[program.command]
        with program.made_cheap(place):
            for k in range(max(first, i * times), (i + 1) * times):
                arguments = [*program.cheap, *fuzz_lines.line(parser, np.random.default_rng([seed, k]))]
                if program.command:
                    arguments = [program.command, *arguments]
                report({"at": k, "what": name, "arguments": arguments})
                outcome, right = attempt(main, arguments, folder, watch)
                report({"at": k, "outcome": outcome, "right": right})


def attempt(main: Callable[[list[str]], Any], arguments: list[str], folder: Path, watch: Watch) -> tuple[str, bool]:
    """Run one command line in a folder of its own."""
    place = folder / PLACE
    shutil.rmtree(folder / PLACE.parts[0], ignore_errors=True)
    fuzz_lines.renew(folder / "given", place)
    os.chdir(place)
    tempfile.tempdir = str(place)
    with _captured(folder) as said:
        watch.outside, watch.on = [], True
        code = called(main, arguments)
        watch.on = False
    out, errors = said
    return judged(code, out, errors, watch.outside)


def main(folder: str, *numbers: str) -> None:
    """Run with the numbers seed, times and first, as ``run`` takes them."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    seed, times, first = map(int, numbers)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as lines:
        run(Path(folder), seed, times, first, lambda about: print(json.dumps(about), file=lines, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
