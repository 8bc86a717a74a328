"""``python -m analysis.benchmarks.sampling``: sampling the digits model, each arm against full precision.

One model call per turn and arm, the arms taking turns, so that whatever else the machine does hits all alike. Printed:
median milliseconds of a call, the median of the ratios within a turn, and what 256 images × 50 calls would take.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import torch

from modiff_sim.nn import zoo

from ..arms import FULL, RECURSIONS, Arm


def turns(arms: Sequence[Arm], images: int, calls: int) -> np.ndarray:
    """Seconds of a model call, shape (calls, arms); the first call of a run (exact start) is not among them."""
    seconds = np.empty((calls, len(arms)))
    x = torch.randn(images, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with ExitStack() as stack, torch.inference_mode():
        models = []
        for arm in arms:
            models.append(zoo.load("digits"))
            stack.enter_context(arm.on(models[-1]))
            models[-1](x, 999)
        for call in range(calls):
            x = x + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(call))
            for i, model in enumerate(models):
                start = time.perf_counter()
                model(x, 999 - call)
                seconds[call, i] = time.perf_counter() - start
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis.benchmarks.sampling", description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256, help="batch size (default: 256)")
    parser.add_argument("--calls", type=int, default=30, help="turns (default: 30)")
    parser.add_argument("--threads", type=int, default=2, help="torch threads (default: 2)")
    chosen = parser.parse_args(arguments)
    if min(chosen.images, chosen.calls, chosen.threads) < 1:
        parser.error("--images, --calls and --threads must be at least 1")
    torch.set_num_threads(chosen.threads)
    arms = [FULL, *(Arm(r, 4, 8) for r in RECURSIONS)]
    seconds = turns(arms, chosen.images, chosen.calls)
    ratios = np.median(seconds / seconds[:, :1], axis=0)
    print(f"{chosen.images} images per call, {chosen.calls} turns, {chosen.threads} threads, torch {torch.__version__}")
    print(f"{'arm':<18}{'ms per call':>12}{'ratio':>8}{'256 × 50, s':>13}")
    for arm, median, ratio in zip(arms, np.median(seconds, axis=0), ratios, strict=True):
        print(f"{arm.label:<18}{1e3 * median:>12.1f}{ratio:>8.2f}{median * 50 * 256 / chosen.images:>13.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
