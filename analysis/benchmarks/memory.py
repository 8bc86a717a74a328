"""``python -m analysis.benchmarks.memory``: peak memory of each arm, and what ``cost`` predicts for its states.

Every arm runs in a process of its own. The peak is the largest resident memory after three model calls, less that of
the same calls without modulation. It is more than the states: quantized weights are kept beside the model's own (136
MiB for the CIFAR-10 U-Net), the old states live until a call has succeeded, and the fused path of absmax keeps buffers
as large as the states (``run.buffer_bytes()``). Large arrays get pages of their own (glibc's MALLOC_MMAP_THRESHOLD_);
otherwise fragmentation of the heap would add several hundred MiB.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

from modiff_sim import Storage, cost
from modiff_sim.nn import modulated
from modiff_sim.nn.models.architectures import ARCHITECTURES, shapes_of

from ..running import interrupts
from ..running.limits import Parser
from ..running.workspace import largest_resident
from .sampling import ARMS, make

STATES = ("W8A4 closed loop", "W8A4 closed, int8 â, fp16 ô", "W8A4 closed, int8 â, ô recomputed")


def peak(name: str, arm: str | None, batch: int) -> tuple[int, int, int]:
    """Return (peak resident bytes, bytes of states, bytes of buffers) of three calls. Run this in a new process."""
    torch.set_num_threads(1)
    config = ARCHITECTURES[name].config
    x = torch.randn(batch, config["in_channels"], *2 * (config["sample_size"],))
    model, held, buffers = make(name), 0, 0
    with torch.inference_mode():
        if arm is None:
            for call in range(3):
                model(x, 900 - call)
        else:
            options: Any = ARMS[arm]
            with modulated(model, **options) as run:
                for call in range(3):
                    model(x, 900 - call)
                held, buffers = run.state_bytes(), run.buffer_bytes()
    return largest_resident(), held, buffers


def measure(name: str, arms: Sequence[str], batch: int) -> list[dict[str, Any]]:
    """Return a row per arm, in MiB. "predicted" is ``cost.predict_state_bytes`` of the arm's storage."""
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**18))  # for the processes that are started here
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        plain, _, _ = pool.submit(peak, name, None, batch).result()
        rows = []
        for arm in arms:
            most, held, buffers = pool.submit(peak, name, arm, batch).result()
            options: Any = ARMS[arm]
            predicted = cost.predict_state_bytes(shapes_of(name), options.get("storage", Storage()), batch)
            sizes = {"peak": most - plain, "states": held, "predicted": predicted, "buffers": buffers}
            rows.append({"arm": arm} | {key: value / 2**20 for key, value in sizes.items()})
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(prog="python -m analysis.benchmarks.memory", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model", choices=["cifar10", "digits"], default="cifar10", help="the model (default: cifar10)"
    )
    parser.add_argument("--batch", type=int, default=8, help="images per call (default: 8)")
    chosen = parser.parse_args(arguments)
    if chosen.batch < 1:
        parser.error("--batch must be at least 1")
    label = ARCHITECTURES[chosen.model].label
    print(f"{label}, batch {chosen.batch}, MiB for the whole batch; peak: above the same calls without modulation\n")
    print(f"| {'arm':<34} | states, predicted | states, held | buffers |  peak |\n| --- | --- | --- | --- | --- |")
    for row in measure(chosen.model, STATES, chosen.batch):
        numbers = f"{row['predicted']:>17.1f} | {row['states']:>12.1f} | {row['buffers']:>7.1f} | {row['peak']:>5.0f}"
        print(f"| {row['arm']:<34} | {numbers} |")
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.benchmarks.memory"))
