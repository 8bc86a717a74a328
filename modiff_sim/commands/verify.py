"""``modiff-sim verify``: the sha256 of every stored result below a folder."""

from __future__ import annotations

from argparse import Namespace

from ..sweeps.verification import verify


def run(chosen: Namespace) -> int:
    """Check all stored results below the folder and print what is wrong; the exit code is 1 if anything is."""
    count, problems = verify(chosen.folder)
    if not count:
        raise ValueError(f"no result (manifest.json, *.rows.jsonl) below {chosen.folder}: nothing was checked")
    for problem in problems:
        print(problem)
    print(f"{count} result{'s' * (count != 1)} checked, {len(problems) or 'no'} problem{'s' * (len(problems) != 1)}")
    return int(bool(problems))
