"""``python -m analysis.reproduce [--effort quick|full] [--out DIR]``: everything from sampling to the report.

    1 sample the arms                                  DIR/results/*        (stored by content: a killed run goes on)
    2 draw the figures                                 DIR/figures/*
    3 check the claims                                 DIR/results/checks.json
    4 write the table of arms and the report           DIR/results/arms.csv, DIR/report.html

Effort quick measures what is about theory. Of trained models it samples 16 images of every arm, to look at, and a few
micro-batches of the committed rows, to compare; figures and claims show what was measured at effort full and is
committed. Effort full measures everything.

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
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from modiff_sim.arguments import said_seconds
from modiff_sim.console import one_line
from modiff_sim.sweeps.store import StoreError, write_atomic

from .experiments.sizes import EFFORTS
from .running import durations, interrupts, workspace
from .running.limits import Parser

#: what a run does, told at its start
DOES = {
    "quick": "It measures the theory, samples 16 images of every arm and a few micro-batches to compare with the "
    "committed rows, and shows what was measured of trained models at effort full. EFFORT=full measures that again.",
    "full": "It measures everything: the theory, and what trained models do.",
}


def say(text: str) -> None:
    """Print a line on stderr."""
    print(text, file=sys.stderr, flush=True)


def sample_everything(effort: str) -> list[dict[str, Any]]:
    """Do step 1: compute everything that figures and checks will need from the store, so that neither does it twice.

    Returns the rows of the ablation.
    """
    from .experiments import trained as experiments

    rows = experiments.ablation(effort)
    if effort == "quick":
        return rows
    from .experiments import caching, prediction

    caching.measure(effort)
    prediction.measured(effort)
    others = (prediction.transfer, prediction.noises, prediction.loop_gain, experiments.distributions)
    workspace.spread([partial(other, effort) for other in others], "probing the model")
    return rows


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module."""
    return [sys.executable, "-m", module, *arguments]


def figures_and_checks(effort: str, out: Path, *more: str) -> tuple[int, dict[str, dict[str, float]]]:
    """Do steps 2 and 3 side by side, with more arguments for both. Raises SystemExit(2) where a step failed.

    Returns the exit code of the checks, and the seconds that each figure and each claim took.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    log, table = out / "figures.log", out / "results" / "checks.json"
    took = {name: out / f"{name}-seconds.json" for name in ("figures", "claims")}
    table.unlink(missing_ok=True)  # if the checks fail to run, an older table must not be reported
    with open(log, "w", encoding="utf-8") as sink:
        how = ["--effort", effort, *more]
        own = ["--out", str(out / "figures"), "--seconds", str(took["figures"])]
        drawing = subprocess.Popen(
            command("figures", *how, *own), stdout=sink, stderr=subprocess.STDOUT, env=environment
        )
        own = ["--json", str(table), "--seconds", str(took["claims"]), "--workers", str(workspace.workers())]
        checking = subprocess.Popen(command("paper_checks", *how, *own), env=environment)
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
    seconds = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in took.items()}
    for path in took.values():
        path.unlink()
    return verdicts, seconds


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
        help="quick shows what was measured of trained models before; full measures it (default: quick)",
    )
    parser.add_argument("--out", default="out", metavar="DIR", help="where everything is written (default: out)")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="with --effort full: keep what is measured in this checkout, where runs at effort quick find it",
    )
    chosen = parser.parse_args(arguments)
    if chosen.keep and chosen.effort != "full":
        parser.error("--keep keeps what is measured at effort full: add --effort full")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return reproduce(chosen.effort, Path(chosen.out), keep=chosen.keep)
    except (OSError, StoreError, ValueError) as error:
        say(f"reproduce: {one_line(error)}")
        return 2


def reproduce(effort: str, out: Path, *, keep: bool = False) -> int:
    """Do all four steps, and return the exit code. With ``keep`` the results are kept in this checkout."""
    workspace.use(out)
    (out / "results").mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    say(f"effort {effort}: the same took {durations.known(effort)}")
    say(DOES[effort])
    say("1/4 sampling the digits model")
    rows = sample_everything(effort)
    write_rows(rows, out / "results" / "arms.csv")
    sampling = time.perf_counter() - start
    say(f"2/4, 3/4 figures and paper checks, after {said_seconds(sampling)}")
    verdicts, seconds = figures_and_checks(effort, out, *(["--keep"] if keep else []))
    say("4/4 report")
    from .report import build

    report = build(out, effort, rows)
    total = time.perf_counter() - start
    day, here = f"{datetime.now(UTC):%Y-%m-%d}", durations.this_machine()
    took = durations.Durations(here, day, round(total, 1), round(sampling, 1), **seconds)
    write_atomic(out / "walltime.json", took.text())
    if keep:
        write_atomic(durations.FOLDER / f"{effort}.json", took.text())
    say(f"wrote {report} in {said_seconds(total)} (effort {effort})")
    return verdicts


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.reproduce"))
