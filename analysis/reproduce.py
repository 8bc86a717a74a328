"""``python -m analysis.reproduce [--effort quick|full] [--out DIR]``: everything from sampling to the report.

    1 sample the arms, record the distributions        DIR/results/*        (stored by content: a killed run goes on)
    2 draw the figures                                 DIR/figures/*
    3 check the claims                                 DIR/results/checks.json
    4 write the table of arms and the report           DIR/results/arms.csv, DIR/report.html

Figures and checks are programs of their own above this package. They are started rather than imported, and run side by
side. The exit code is 1 if a verdict is not the expected one, and 2 if a step failed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from modiff_sim.sweeps.store import StoreError, write_atomic

from .experiments.arms import EFFORTS
from .running import interrupts, workspace
from .running.limits import Parser


def say(text: str) -> None:
    """Print a line on stderr."""
    print(text, file=sys.stderr, flush=True)


def sample_everything(effort: str) -> list[dict[str, Any]]:
    """Do step 1: compute everything that figures and checks will need from the store, so that neither does it twice.

    Returns the rows of the ablation.
    """
    from .experiments import caching, prediction
    from .experiments import digits as experiments

    rows = experiments.ablation(effort)
    experiments.sample_key_arms(effort)
    caching.measure(effort)
    prediction.measured(effort)
    others = (prediction.transfer, prediction.noises, prediction.loop_gain, experiments.distributions)
    workspace.spread([partial(other, effort) for other in others], "probing the model")
    return rows


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module."""
    return [sys.executable, "-m", module, *arguments]


def figures_and_checks(effort: str, out: Path) -> int:
    """Do steps 2 and 3 side by side. Returns the exit code of the checks; raises SystemExit(2) where a step failed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    log, table = out / "figures.log", out / "results" / "checks.json"
    table.unlink(missing_ok=True)  # if the checks fail to run, an older table must not be reported
    with open(log, "w", encoding="utf-8") as sink:
        drawing = subprocess.Popen(
            command("figures", "--effort", effort, "--out", str(out / "figures")),
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        how = ("--effort", effort, "--json", str(table), "--workers", str(workspace.workers()))
        checking = subprocess.Popen(command("paper_checks", *how), env=environment)
        try:
            verdicts, failed = checking.wait(), drawing.wait()
        finally:  # after Ctrl-C and SIGTERM as well, nothing may go on writing into the folder
            drawing.kill()
            checking.kill()
    if failed or not table.exists():
        if failed:
            say(log.read_text(encoding="utf-8"))
        say("reproduce: a step failed (see above); finished results are kept, so run the same command again")
        raise SystemExit(2)
    log.unlink()
    return verdicts


def write_rows(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the arms as CSV, with the columns of the rows."""
    import pandas as pd

    write_atomic(path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(prog="python -m analysis.reproduce", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--effort",
        choices=list(EFFORTS),
        default="quick",
        help="full draws more and takes several times as long (default: quick)",
    )
    parser.add_argument("--out", default="out", metavar="DIR", help="where everything is written (default: out)")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return reproduce(chosen.effort, Path(chosen.out))
    except (OSError, StoreError, ValueError) as error:
        say(f"reproduce: {error}")
        return 2


def reproduce(effort: str, out: Path) -> int:
    """Do all four steps, and return the exit code."""
    workspace.use(out)
    (out / "results").mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}
    start = time.perf_counter()

    say(f"1/4 sampling and recording the digits model (effort {effort})")
    rows = sample_everything(effort)
    write_rows(rows, out / "results" / "arms.csv")
    seconds["sampling"] = time.perf_counter() - start
    say("2/4, 3/4 figures and paper checks")
    verdicts = figures_and_checks(effort, out)
    seconds["figures and checks"] = time.perf_counter() - start - seconds["sampling"]
    say("4/4 report")
    from .report import build

    report = build(out, effort, rows)
    seconds["total"] = time.perf_counter() - start
    write_atomic(out / "walltime.json", json.dumps(seconds, indent=1) + "\n")
    say(f"wrote {report} in {seconds['total']:.0f} s (effort {effort})")
    return verdicts


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.reproduce"))
