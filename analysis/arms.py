"""The arms of the experiments: which recursion at how many activation and weight bits, and how large each effort is.

``python -m analysis.arms --model digits`` prints the table of all arms on one model (``arm_table``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import modiff_sim as ms
from modiff_sim.nn import Run, modulated

RECURSIONS = tuple(ms.RECURSIONS)
BITS = (8, 6, 4, 3, 2)


@dataclass(frozen=True)
class Arm:
    """One arm. ``bits`` and ``weight_bits`` of 32 are full precision; scales are one per sample and output channel."""

    recursion: str = "direct"
    bits: int = 32
    weight_bits: int = 32

    @property
    def label(self) -> str:
        """As the paper writes it, W8A4, with the recursion."""
        if self.bits == self.weight_bits == 32:
            return "full precision"
        name = f"W{self.weight_bits}A{self.bits}"
        return name if self.bits == 32 else f"{name} {self.recursion.replace('_', ' ')}"

    @property
    def activations(self) -> ms.Quantizer:
        return {0: ms.Zero(), 32: ms.Identity()}.get(self.bits) or ms.AbsMax(self.bits)

    @property
    def weights(self) -> ms.Quantizer | None:
        return None if self.weight_bits == 32 else ms.AbsMax(self.weight_bits, granularity=ms.PerChannel(0))

    @contextmanager
    def on(self, model: Any) -> Iterator[Run | None]:
        """The model as this arm; the full-precision arm leaves it alone and yields None."""
        if self == FULL:
            yield None
            return
        with modulated(model, activations=self.activations, weights=self.weights, recursion=self.recursion) as run:
            yield run


FULL = Arm()


@dataclass(frozen=True)
class Effort:
    """How much is computed. Part of every stored result's key, as seed, micro-batch, threads and dtype are.

    n: images per arm; n_key: images of the arms that quality claims are judged on (Fréchet distances need 1024);
    n_fine: images of the two arms whose difference is small, so that the interval of their ratio decides.
    """

    name: str
    steps: int
    n: int
    n_key: int
    n_fine: int
    weight_bits: tuple[int, ...]
    n_recorded: int
    spacing: str = "quad"  # of the timesteps, as in the paper's CIFAR-10 runs: dense near t = 0
    batch: int = 128
    seed: int = 0
    threads: int = 1


EFFORTS = {
    "quick": Effort("quick", steps=20, n=64, n_key=64, n_fine=64, weight_bits=(8,), n_recorded=32, batch=64),
    "full": Effort("full", steps=50, n=256, n_key=1024, n_fine=4096, weight_bits=(8, 4), n_recorded=64),
}


def effort_of(name: str) -> Effort:
    """The effort of this name; ValueError lists the known ones."""
    if name not in EFFORTS:
        raise ValueError(f"unknown effort {name!r}; known: {', '.join(EFFORTS)}")
    return EFFORTS[name]


def sweep(effort: Effort) -> list[Arm]:
    """Full precision, weights alone, then every recursion at every bit width."""
    arms = [FULL]
    for weight_bits in effort.weight_bits:
        arms.append(Arm("direct", 32, weight_bits))
        arms += [Arm(r, b, weight_bits) for r in RECURSIONS for b in BITS]
    return arms


#: the arms of the quality claims: the first two sampled n_fine times, all of them n_key times
FINE_ARMS = (FULL, Arm("closed_loop", 4, 8))
KEY_ARMS = (FULL, *(Arm(r, 4, 8) for r in RECURSIONS), *(Arm(r, 3, 8) for r in RECURSIONS))


if __name__ == "__main__":
    import sys

    from .arm_table import main

    sys.exit(main())
