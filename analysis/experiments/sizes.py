"""How large each effort is for the experiments with the digits model: steps, images, micro-batches."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """How much is computed. It is part of the key of every stored result, like seed, micro-batch, threads and dtype.

    ``n`` is the number of images per arm, ``n_key`` that of the arms that quality claims are judged on (Fréchet
    distances need 1024), and ``n_fine`` that of the two arms whose difference is so small that fewer images would not
    decide. Quick is what `make reproduce` samples to look at, and what a check of a single claim takes to be tried.
    """

    name: str
    steps: int
    n: int
    n_key: int
    n_fine: int
    weight_bits: tuple[int, ...]
    n_recorded: int
    spacing: str = "quad"  # spacing of the timesteps as in the paper's CIFAR-10 runs: dense near t = 0
    batch: int = 128
    seed: int = 0
    threads: int = 1


EFFORTS = {
    "quick": Effort("quick", steps=12, n=16, n_key=16, n_fine=16, weight_bits=(8,), n_recorded=16, batch=16),
    "full": Effort("full", steps=50, n=256, n_key=1024, n_fine=4096, weight_bits=(8, 4), n_recorded=64),
}


def effort_of(name: str) -> Effort:
    """Return the effort of this name. Raises ValueError, which lists the known ones, for another."""
    if name not in EFFORTS:
        raise ValueError(f"unknown effort {name!r}; known: {', '.join(EFFORTS)}")
    return EFFORTS[name]
