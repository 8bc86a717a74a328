"""Do two output folders say the same?  python -m analysis.compare BEFORE AFTER

This compares what two runs of `make reproduce` wrote: every stored result with the one of the same name and parameters
(whatever the code and the versions were) by the sha256 of its arrays and rows; every number, verdict and sentence of
checks.json; the tables, and the arrays behind the figures. It prints what differs, and what only one folder has.

The exit code is 0 if nothing differs, and 1 if something does.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modiff_sim.console import one_line
from modiff_sim.sweeps.store import StoreError, canonical, sha256, verify_one

from .running import interrupts
from .running.limits import Parser

CODE = ("source",)  # parameters that say which code made a result, and not which result it is
MADE_BY = ("source", "versions", "manifest_sha256")  # likewise, in the manifests of figures and tables


def facts(out: Path) -> dict[str, str]:
    """Return what a folder says: the name of each fact -> its content, or the sha256 of that.

    Raises StoreError where the folder holds nothing written by `make reproduce`, or a manifest that cannot be read.
    """
    found = {**_results(out), **_checks(out), **_files(out)}
    if not found:
        raise StoreError(f"{out} holds no results/, tables/ or figures/ of `make reproduce`")
    return found


def _results(out: Path) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for path in sorted((out / "results").glob("*/manifest.json")):
        about = _read(path)
        if "params" not in about:
            continue
        if problems := verify_one(path.parent):
            raise StoreError("; ".join(problems))
        params = {k: v for k, v in about["params"].items() if k not in CODE}
        for file, digest in about["sha256"].items():
            found.setdefault(f"result {about['name']} {canonical(params)}: {file}", set()).add(digest)
    return {name: " and ".join(sorted(digests)) for name, digests in found.items()}  # perhaps of several codes


def _checks(out: Path) -> dict[str, str]:
    path = out / "results" / "checks.json"
    if not path.is_file():
        return {}
    claims = _read(path).get("claims")
    if not isinstance(claims, list) or not all(isinstance(c, dict) and "id" in c for c in claims):
        raise StoreError(f"{path} is not a table of claims: run `make reproduce` into this folder again")
    return {f"claim {c['id']}: {field}": canonical(value) for c in claims for field, value in c.items()}


def _files(out: Path) -> dict[str, str]:
    """Return the sha256 of every table, and of the data behind every figure with what its manifest says."""
    found = {f"table {p.name}": sha256(p) for p in sorted((out / "tables").glob("*")) if p.name != "manifest.json"}
    for path in sorted((out / "figures").glob("*.npz")):
        found[f"figure {path.stem}: data"] = sha256(path)
    for path in sorted((out / "figures").glob("*.json")):
        about = _read(path)
        found[f"figure {path.stem}: parameters"] = canonical({k: v for k, v in about.items() if k not in MADE_BY})
    return found


def _read(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises StoreError where the file does not hold one."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path} cannot be read ({error})") from error
    if not isinstance(about, dict):
        raise StoreError(f"{path} cannot be read (it is not a JSON object)")
    return about


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return a sentence for every fact that is not the same in both folders."""
    wrong = []
    for name in sorted({*before, *after}):
        if name not in after:
            wrong.append(f"{name}: only in the first folder")
        elif name not in before:
            wrong.append(f"{name}: only in the second folder")
        elif before[name] != after[name]:
            wrong.append(f"{name}: {_short(before[name])} became {_short(after[name])}")
    return wrong


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(
        prog="python -m analysis.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path, metavar="BEFORE", help="output folder of one run")
    parser.add_argument("after", type=Path, metavar="AFTER", help="output folder of another run")
    args = parser.parse_args(arguments)
    try:
        before, after = facts(args.before), facts(args.after)
    except (StoreError, ValueError, OSError) as error:
        print(f"compare: {one_line(error)}", file=sys.stderr)
        return 2
    wrong = differences(before, after)
    for sentence in wrong:
        print(sentence)
    print(f"{len({*before, *after})} facts compared, {len(wrong) or 'no'} difference{'s' * (len(wrong) != 1)}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.compare"))
