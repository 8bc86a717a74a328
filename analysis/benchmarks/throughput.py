"""``python -m analysis.benchmarks.throughput``: images per second and peak memory of whole sampling runs of each arm.

Every turn samples one micro-batch of every arm, so that whatever else the machine does affects all arms alike. The
table shows the median images per second, and the median of the ratios to full precision within a turn. Peak memory is
measured in a process of its own per arm, as the largest resident memory less that of the process with the model loaded.
Beside it stands what ``nn.models.memory`` predicts, by which ``analysis.sample --memory-budget`` chooses the
micro-batch. ``--memory-format channels_last`` lays out the model's weights, and so its activations, that way.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch

from modiff_sim.nn import zoo

from ..experiments.arms import FULL, RECURSIONS, Arm
from ..running import interrupts
from ..running.limits import Parser
from ..running.workspace import largest_resident
from ..sample import memory
from ..sampling.micro_batch import MEMORY_FORMATS
from ..sampling.subjects import Subject, subject

ARMS = (FULL, Arm("direct", 32, 8), *(Arm(r, 4, 8) for r in RECURSIONS), Arm("closed_loop", 3, 8))


def _made(name: str, memory_format: str) -> Subject:
    found = subject(name)
    found.model.to(memory_format=MEMORY_FORMATS[memory_format])
    return found


def turns(name: str, contestants: Sequence[tuple[Arm, str]], batch: int, steps: int, repeats: int) -> np.ndarray:
    """Return the seconds of sampling one micro-batch, shape (repeats, contestants). A first turn is not counted.

    A contestant is an arm with a memory format.
    """
    taken = np.empty((repeats + 1, len(contestants)))
    with ExitStack() as stack:
        subjects = [_made(name, memory_format) for _, memory_format in contestants]
        runs = [stack.enter_context(arm.on(s.model)) for s, (arm, _) in zip(subjects, contestants, strict=True)]
        for turn in taken:
            for i, (one, run) in enumerate(zip(subjects, runs, strict=True)):
                start = time.perf_counter()
                one.sample(batch, batch=batch, steps=steps, spacing="quad", run=run)
                turn[i] = time.perf_counter() - start
    return taken[1:]


def peak(name: str, arm: Arm, memory_format: str, batch: int) -> int:
    """Return the bytes that sampling with three model calls adds to the process. Run this in a new process."""
    torch.set_num_threads(1)
    one = _made(name, memory_format)
    one.sample(1, batch=1, steps=1)  # lets the libraries set themselves up
    before = largest_resident()
    with arm.on(one.model) as run:
        one.sample(batch, batch=batch, steps=3, run=run)
    return largest_resident() - before


def measure(
    name: str, contestants: Sequence[tuple[Arm, str]], batch: int, steps: int, repeats: int
) -> list[dict[str, Any]]:
    """Return a row per contestant. The others are divided by the first."""
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**18))  # as in benchmarks.memory
    seconds = turns(name, contestants, batch, steps, repeats)
    rows = []
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for i, (arm, memory_format) in enumerate(contestants):
            needed = memory(name, arm)
            rows.append({
                "arm": arm.label, "memory_format": memory_format, "images_per_s": batch / np.median(seconds[:, i]),
                "ratio": float(np.median(seconds[:, i] / seconds[:, 0])),
                "peak_mib": pool.submit(peak, name, arm, memory_format, batch).result() / 2**20,
                "predicted_mib": (needed.total(batch) - memory(name, FULL).fixed) / 2**20,  # the model is loaded before
            })  # fmt: skip
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(prog="python -m analysis.benchmarks.throughput", description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=zoo.MODELS, default="digits", help="a model of the zoo (default: digits)")
    parser.add_argument("--batch", type=int, default=128, help="images per micro-batch (default: 128)")
    parser.add_argument("--steps", type=int, default=10, help="DDIM steps of a run (default: 10)")
    parser.add_argument("--repeats", type=int, default=7, help="turns (default: 7)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default: 1)")
    parser.add_argument(
        "--memory-format",
        nargs="+",
        choices=MEMORY_FORMATS,
        default=["contiguous"],
        help="one format, or both side by side",
    )
    chosen = parser.parse_args(arguments)
    if min(chosen.batch, chosen.steps, chosen.repeats, chosen.threads) < 1:
        parser.error("--batch, --steps, --repeats and --threads must be at least 1")
    torch.set_num_threads(chosen.threads)
    contestants = [(arm, layout) for arm in ARMS for layout in chosen.memory_format]
    print(
        f"{chosen.model}, micro-batches of {chosen.batch}, {chosen.steps} DDIM steps, {chosen.repeats} turns, "
        f"{chosen.threads} thread{'s' * (chosen.threads > 1)}, torch {torch.__version__}\n"
    )
    print(
        "| arm | memory format | images/s | time, ratio | peak, MiB | predicted, MiB |\n"
        "| --- | --- | --- | --- | --- | --- |"
    )
    for row in measure(chosen.model, contestants, chosen.batch, chosen.steps, chosen.repeats):
        numbers = f"{row['images_per_s']:.1f} | {row['ratio']:.2f} | {row['peak_mib']:.0f} | {row['predicted_mib']:.0f}"
        print(f"| {row['arm']} | {row['memory_format']} | {numbers} |")
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.benchmarks.throughput"))
