"""``python -m analysis.benchmarks.sampling``: the time of a model call of each arm against full precision.

The arms take turns with one model call each, so that whatever else the machine does affects all of them alike. The
table shows the median milliseconds of a call and the median of the ratios within a turn. The default is the paper's
CIFAR-10 U-Net (35.7 M parameters; the weights are random, since the time does not depend on them) at batch 4. Weights
are quantized once, and the check for NaN is included. ``--model digits --batch 256`` takes the zoo's model. With more
threads than idle cores the ratios are meaningless: pass ``--threads 1`` on a machine that is busy with other things.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import nn

import modiff_sim as ms
from modiff_sim.nn import modulated, zoo
from modiff_sim.nn.models.architectures import ARCHITECTURES, from_config
from modiff_sim.nn.models.inputs import image_shape

from ..experiments import arm_table
from ..running import interrupts
from ..running.limits import Parser

#: label -> options of ``modulated``; the others are divided by the first
ARMS: dict[str, Mapping[str, Any] | None] = {
    "full precision": None,
    **{
        label: arm_table.fixed_options(label)
        for label in (
            "W8A4 direct", "W8A4 open loop", "W8A4 closed loop", "W8A4 closed, skip below 5 %",
            "W8A4 closed, int8 â, fp16 ô", "W8A4 closed, int8 â, ô recomputed", "W8A4 closed, attention 8 bits",
            "reuse every 3",
        )
    },
    "W8A4 closed, min-max": arm_table.fixed_options("W8A4 closed loop") | {"activations": ms.MinMax(4)},
}  # fmt: skip


def make(name: str) -> nn.Module:
    """Return a new instance of the model: the zoo's, or an architecture with random weights."""
    if name in zoo.MODELS:
        return zoo.load(name)
    about = ARCHITECTURES[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return from_config(about.cls, about.config).to_empty(device="cpu").apply(_random).eval().requires_grad_(False)


def _random(module: nn.Module) -> None:
    for p in module.parameters(recurse=False):
        nn.init.normal_(p, std=0.02)
    for b in module.buffers(recurse=False):
        b.zero_()


def finish(device: str) -> None:
    """Wait until the GPU has finished what it was given to do."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def turns(
    name: str, arms: Sequence[str], batch: int, calls: int, device: str = "cpu"
) -> tuple[np.ndarray, dict[str, float]]:
    """Return the seconds of each model call, shape (calls, arms), and the MiB of state per image of each arm.

    The first two calls of a run are left out.
    """
    seconds = np.empty((calls, len(arms)))
    x = torch.randn(batch, *image_shape(make(name)), generator=torch.Generator().manual_seed(0))
    with ExitStack() as stack, torch.inference_mode():
        models, runs = [], {}
        for arm in arms:
            models.append(make(name).to(device))
            if (options := ARMS[arm]) is not None:
                runs[arm] = stack.enter_context(modulated(models[-1], **options))
        for call in range(-2, calls):
            x = x + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(call + 2))
            given = x.to(device)
            for i, model in enumerate(models):
                finish(device)
                start = time.perf_counter()
                model(given, 900 - call)
                finish(device)
                if call >= 0:
                    seconds[call, i] = time.perf_counter() - start
        held = {arm: run.state_bytes() / 2**20 / batch for arm, run in runs.items()}
    return seconds, held


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(prog="python -m analysis.benchmarks.sampling", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model", choices=["cifar10", *zoo.MODELS], default="cifar10", help="the model (default: cifar10)"
    )
    parser.add_argument("--batch", type=int, default=4, help="images per call (default: 4)")
    parser.add_argument("--calls", type=int, default=30, help="turns, each with one call of every arm (default: 30)")
    parser.add_argument("--threads", type=int, default=2, help="torch threads, no more than idle cores (default: 2)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument(
        "--arms",
        nargs="+",
        metavar="ARM",
        default=list(ARMS),
        help="names of arms, in quotes (default: all); known: " + "; ".join(ARMS).replace("%", "%%"),
    )
    chosen = parser.parse_args(arguments)
    if unknown := [arm for arm in chosen.arms if arm not in ARMS]:
        parser.error(f"unknown arm {unknown[0]!r}; known: {'; '.join(ARMS)}")
    if min(chosen.batch, chosen.calls, chosen.threads) < 1:
        parser.error("--batch, --calls and --threads must be at least 1")
    if chosen.device != "cpu" and not torch.cuda.is_available():
        parser.error(f"--device {chosen.device}: torch sees no GPU here")
    torch.set_num_threads(chosen.threads)
    first = next(iter(ARMS))
    arms = [first, *(arm for arm in chosen.arms if arm != first)]
    seconds, held = turns(chosen.model, arms, chosen.batch, chosen.calls, chosen.device)
    ratios = np.median(seconds / seconds[:, :1], axis=0)
    place = f"{chosen.threads} thread{'s' * (chosen.threads > 1)}"
    if chosen.device != "cpu":
        place = torch.cuda.get_device_name(chosen.device)
    label = ARCHITECTURES[chosen.model].label if chosen.model in ARCHITECTURES else f"{chosen.model} of the zoo"
    print(f"{label}, batch {chosen.batch}, {chosen.calls} turns, {place}, torch {torch.__version__}\n")
    print(f"| {'arm':<34} | ms per call | ratio | state, MiB per image |\n| --- | --- | --- | --- |")
    for arm, median, ratio in zip(arms, np.median(seconds, axis=0), ratios, strict=True):
        state = f"{held[arm]:.3g}" if arm in held else "–"
        print(f"| {arm:<34} | {1e3 * median:>11.1f} | {ratio:>5.2f} | {state:>20} |")
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.benchmarks.sampling"))
