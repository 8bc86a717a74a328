"""``python -m analysis.benchmarks.step``: the time of one step of a model, on integers and in full precision.

All rivals take turns in one process, so that whatever else the machine does affects all of them alike. A turn is two
steps, of which caching every second time computes one, and a time is half of it. Times are medians over the turns, of
processor time and of the clock; a ratio is the median of the ratios within a turn, to the
best full precision of torch. The relative error is that of the last output to full precision's, from the same inputs:
with random weights it says that a rival computes the right thing, and nothing about images. Beside the time of a layer
stands its time by the roofline: the longer of moving all its numbers once, and of doing all multiplications at the rate
of the instruction.

The default is the paper's CIFAR-10 U-Net (35.7 M parameters) with random weights. ``--page`` writes all of it into
analysis/benchmarks/step.md, for batches of 1, 4 and 16, and for two threads; other packages at batch 4 alone; and
images per second of whole runs (whole_runs.py), which ``--runs`` prints; and the tiles (tiles.py).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

import modiff_sim as ms
from modiff_sim.nn import modulated
from modiff_sim.nn.integer import machine_code
from modiff_sim.nn.models.inputs import image_shape
from modiff_sim.sweeps.files import write_atomic

from ..running import interrupts
from ..running.limits import Parser, whole
from . import tiles, whole_runs
from .rivals import FOREIGN, RIVALS, made
from .sampling import make

HERE = Path(__file__).with_suffix(".md")
BEST = ("full precision, torch", "full precision, torch, channels last")
HEAD = ["rival", "processor time, ms", "clock, ms", "of torch's best", "relative error"]
LAYER_HEAD = ["convolution", "rival", "ms", "of torch's best", "by the roofline, ms"]
#: batches and threads of the page, and those with the rivals of other packages, which take minutes to be made
PAGE = ((4, 1), (1, 1), (16, 1), (4, 2))
ALL = (4, 1)
#: (channels, height and width) of 3×3 convolutions, at batch 4
LAYERS = ((128, 32), (256, 16), (256, 8), (512, 4))


@dataclass(frozen=True)
class Turns:
    """Seconds of every turn: (turns, rivals), by the processor's clock and the wall's, and the relative errors."""

    names: list[str]
    processor: np.ndarray
    wall: np.ndarray
    errors: list[float]
    missing: dict[str, str]

    def ratios(self) -> np.ndarray:
        """Median over the turns of the processor time over torch's best of the same turn."""
        return whole_runs.to_the_best(self.processor, self.names, BEST)


def step_turns(model: nn.Module, names: Sequence[str], batch: int, turns: int) -> Turns:
    """Let the rivals of these names take turns. A turn before, which compiles and takes exact calls, is left out."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, *image_shape(model), generator=generator)
    with ExitStack() as stack, torch.no_grad():
        calls, missing = made(names, model, x, stack)
        processor, wall = np.zeros((2, turns + 1, len(calls)))
        for step in range(2 * len(processor)):
            x = x + 0.01 * torch.randn(x.shape, generator=generator)
            outputs = []
            for i, call in enumerate(calls.values()):
                clocks = time.process_time(), time.perf_counter()
                outputs.append(call(x, 900 - step))
                processor[step // 2, i] += (time.process_time() - clocks[0]) / 2
                wall[step // 2, i] += (time.perf_counter() - clocks[1]) / 2
        exact = model(x, 900 - step).sample
        errors = [float((y - exact).norm() / exact.norm()) for y in outputs]
    return Turns(list(calls), processor[1:], wall[1:], errors, missing)


def step_rows(found: Turns) -> list[list[str]]:
    """The rows of a table of steps."""
    rows = [
        [name, f"{1e3 * p:.1f}", f"{1e3 * w:.1f}", f"{ratio:.2f}", f"{error:.1e}"]
        for name, p, w, ratio, error in zip(
            found.names, np.median(found.processor, axis=0), np.median(found.wall, axis=0), found.ratios(),
            found.errors, strict=True,
        )
    ]  # fmt: skip
    return [*rows, *([name, "–", "–", "–", why] for name, why in found.missing.items())]


def rates() -> tuple[float, float]:
    """Bytes per second of a copy beyond the caches, and 8-bit multiplications per second of the kernel in L1."""
    there, here = torch.ones(2**24), torch.empty(2**24)
    copied = 2 * 4 * there.numel() / np.median([tiles.timed(lambda: here.copy_(there)) for _ in range(7)])
    layer = nn.Sequential(nn.Linear(512, 64, bias=False))
    x = torch.randn(1, 4096, 512)
    with torch.no_grad(), modulated(layer, activations=ms.AbsMax(4), weights=ms.AbsMax(8), engine="integer") as run:
        for _ in range(2):
            layer(x)
        integer = run._integers._layers["0"]
        places = integer._buffers.places(integer._shape(x), integer.moves, 1)
        codes, output, scale = integer._buffers.codes(places, 8), torch.empty(1, 4096, 64), torch.ones(1)
        args = (ms.AbsMax(4), codes, places, scale, integer._bias(), None, output)
        fastest = np.median([tiles.timed(lambda: integer._multiply(*args)) for _ in range(15)])
    return float(copied), float(4096 * 512 * 64 / fastest)


def layer_rows(turns: int) -> list[list[str]]:
    """One 3×3 convolution with its passes against torch's best, beside the time by the roofline."""
    copied, multiplied = rates()
    rows = []
    for channels, size in LAYERS:
        plain = nn.Conv2d(channels, channels, 3, padding=1).requires_grad_(False)
        last = nn.Conv2d(channels, channels, 3, padding=1).requires_grad_(False).to(memory_format=torch.channels_last)
        x = torch.randn(4, channels, size, size).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            calls = {"torch": plain, "torch, channels last": last}
            calls |= {f"closed loop, {bits} bits": tiles.looped(plain, x, bits) for bits in (8, 4)}
            taken = np.empty((turns + 3, len(calls)))
            for turn in taken:
                x = x + 0.01 * torch.randn(x.shape)
                turn[:] = [tiles.timed(call, x) for call in calls.values()]
        medians, best = np.median(taken[3:], axis=0), taken[3:, :2].min(axis=1, keepdims=True)
        ratios = np.median(taken[3:] / best, axis=0)
        # a and â twice, â', codes, ô, ô', output; each number once
        moved = 4 * x.numel() * (5 + 3) + 2 * x.numel() + 9 * channels**2
        bound = max(moved / copied, 9 * channels * x.numel() / multiplied)
        for name, median, ratio in zip(calls, medians, ratios, strict=True):
            by = f"{1e3 * bound:.2f}" if "loop" in name else "–"
            rows.append([f"{channels} × {size} × {size}", name, f"{1e3 * median:.2f}", f"{ratio:.2f}", by])
    return rows


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page(model: str, names: Sequence[str], turns: int) -> str:
    """The page with all tables."""
    processors = ", ".join(p.name for p in machine_code.runnable()) or "no integer engine here"
    parts = [
        "# One step, on integers and in full precision\n",
        f"Made by `python -m analysis.benchmarks.step --page`, which says what is measured; {turns} turns, "
        f"torch {torch.__version__}, {processors}. Other machines give other ratios.\n",
    ]
    before = torch.get_num_threads()
    try:
        for batch, threads in PAGE:
            torch.set_num_threads(threads)
            here = names if (batch, threads) == ALL else [name for name in names if name not in FOREIGN]
            found = step_turns(make(model), here, batch, turns)
            parts += [f"## {model}, batch {batch}, {threads} thread{'s' * (threads > 1)}\n",
                      table(HEAD, step_rows(found)) + "\n"]  # fmt: skip
        torch.set_num_threads(1)
        parts += ["## One 3×3 convolution with its passes, batch 4, one thread\n",
                  table(LAYER_HEAD, layer_rows(4 * turns)) + "\n",
                  "## Tiles of the product, batch 4, one thread\n", table(tiles.HEAD, tiles.rows(4 * turns)) + "\n",
                  "## Whole runs, one thread\n",
                  table(whole_runs.HEAD, whole_runs.rows(whole_runs.SIZES, turns)) + "\n"]  # fmt: skip
    finally:
        torch.set_num_threads(before)
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(prog="python -m analysis.benchmarks.step", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", default="cifar10", choices=["cifar10", "digits", "fashion32"], help="the model (default: cifar10)")
    add("--batch", type=whole(1, 1024), default=4, help="images (default: 4)")
    add("--turns", type=whole(1, 1000), default=7, help="turns that count (default: 7)")
    add("--threads", type=whole(1, 64), default=1, help="threads (default: 1)")
    add("--rivals", nargs="+", metavar="RIVAL", default=list(RIVALS), help="by name, in quotes (default: all)")
    add("--runs", action="store_true", help="whole runs of three models instead; --turns and --threads count")
    add("--page", action="store_true", help="write all tables into analysis/benchmarks/step.md")
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.rivals if name not in RIVALS]:
        parser.error(f"unknown rival {unknown[0]!r}; known: {'; '.join(RIVALS)}")
    names = [*BEST, *(name for name in chosen.rivals if name not in BEST)]
    if chosen.page:
        write_atomic(HERE, page(chosen.model, names, chosen.turns).encode())
        print(f"wrote {HERE}")
        return 0
    torch.set_num_threads(chosen.threads)
    if chosen.runs:
        print(table(whole_runs.HEAD, whole_runs.rows(whole_runs.SIZES, chosen.turns)))
        return 0
    print(table(HEAD, step_rows(step_turns(make(chosen.model), names, chosen.batch, chosen.turns))))
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.benchmarks.step"))
