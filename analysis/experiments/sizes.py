"""How large each effort is for the experiments with the digits model: steps, images, micro-batches."""

from __future__ import annotations

from dataclasses import dataclass

from modiff_sim.names import one_of


@dataclass(frozen=True)
class Effort:
    """How much is computed. It is part of the key of every stored result, like seed, micro-batch, threads and dtype.

    ``n`` is the number of images per arm, enough for medians over images that start from the same noise. Distances
    between sets of images, and 4-bit weights, need more: they are in the tables (``analysis.tables``). Quick is what
    `make reproduce` samples to look at, and what a check of a single claim takes to be tried.
    """

    name: str
    steps: int
    n: int
    weight_bits: tuple[int, ...]
    n_recorded: int
    spacing: str = "quad"  # spacing of the timesteps as in the paper's CIFAR-10 runs: dense near t = 0
    batch: int = 128
    seed: int = 0
    threads: int = 1


EFFORTS = {
    "quick": Effort("quick", steps=12, n=16, weight_bits=(8,), n_recorded=16, batch=16),
    "full": Effort("full", steps=50, n=128, weight_bits=(8,), n_recorded=64),
}


def effort_of(name: str) -> Effort:
    """Return the effort of this name. Raises ValueError, which lists the known ones, for another."""
    one_of("effort", name, EFFORTS)
    return EFFORTS[name]
