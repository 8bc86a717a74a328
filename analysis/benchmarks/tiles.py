"""Is the rule that chooses the tile of a product as good as the best tile, found by measuring?

Every tile takes turns with every shape, in the closed loop with its passes. The rule (``packing.best_tile``) looks at
the number of output channels alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

import modiff_sim as ms
from modiff_sim.nn.integer import machine_code, multiply, packing
from modiff_sim.nn.integer.engine import Engine
from modiff_sim.nn.layers import Operator

HEAD = ["convolution, batch 4", "tiles, ms", "the rule takes", "its time, of the best"]
#: (input channels, output channels, height and width, size of the kernel)
SHAPES = (
    (128, 128, 32, 3), (384, 128, 32, 1), (128, 256, 16, 3), (512, 256, 16, 3), (256, 256, 8, 3), (512, 256, 4, 3),
    (3, 128, 32, 3), (128, 3, 32, 3), (64, 96, 16, 3), (64, 80, 16, 3), (32, 48, 28, 3),
)  # fmt: skip


def looped(layer: nn.Module, x: torch.Tensor, bits: int, tile: multiply.Tile | None = None) -> Callable[..., None]:
    """Return the closed loop of one layer with its passes, without what a run does once per call of a model.

    It begins with an exact call at x. A tile takes the place of that of the rule.
    """
    Q, operator = ms.AbsMax(bits), Operator("layer", layer, ms.AbsMax(8))
    before = packing.best_tile
    try:
        if tile is not None:
            packing.best_tile = lambda processor, channels: tile
        engine = Engine("auto", {"layer": operator}, {})
    finally:
        packing.best_tile = before
    kept: list[Any] = [(x, operator.affine(x)), ()]

    def call(x: torch.Tensor) -> None:
        step = engine.step("layer", Q, x, kept[0], "closed_loop", kept[1])
        if step is None:
            raise RuntimeError(f"no integers here: {engine.declined['layer']}")
        kept[:] = [(step.ref, step.o_hat), step.spare]

    return call


def timed(call: Callable[..., Any], *args: Any) -> float:
    """Return the seconds of the processor that a call takes."""
    start = time.process_time()
    call(*args)
    return time.process_time() - start


def measured(shape: tuple[int, int, int, int], turns: int, batch: int = 4) -> np.ndarray:
    """Return the median seconds of a closed loop's step with every tile of this processor, in their order."""
    channels, out, size, kernel = shape
    tiles = multiply.TILES[machine_code.runnable()[0].dot]
    layer = nn.Conv2d(channels, out, kernel, padding=kernel // 2)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, channels, size, size, generator=generator).contiguous(memory_format=torch.channels_last)
    taken = np.empty((turns + 3, len(tiles)))
    with torch.no_grad():
        calls = [looped(layer, x, 4, tile) for tile in tiles]
        for turn in taken:
            x = x + 0.01 * torch.randn(x.shape, generator=generator)
            turn[:] = [timed(call, x) for call in calls]
    return np.median(taken[3:], axis=0)


def rows(turns: int) -> list[list[str]]:
    """The rows of the table; none without an integer engine here."""
    if not machine_code.runnable():
        return []
    processor, found = machine_code.runnable()[0], []
    tiles = multiply.TILES[processor.dot]
    names = [f"{tile.rows} × {tile.vectors * processor.lanes}" for tile in tiles]
    for shape in SHAPES:
        seconds = measured(shape, turns)
        rule = tiles.index(packing.best_tile(processor, shape[1]))
        each = ", ".join(f"{name}: {1e3 * s:.2f}" for name, s in zip(names, seconds, strict=True))
        place = f"{shape[0]} → {shape[1]}, {shape[2]} × {shape[2]}, kernel {shape[3]}"
        found.append([place, each, names[rule], f"{seconds[rule] / seconds.min():.2f}"])
    return found
