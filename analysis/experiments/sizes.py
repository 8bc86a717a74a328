"""How large the experiments with a trained model are, of which model and at which bits they are."""

from __future__ import annotations

from dataclasses import dataclass

from modiff_sim.names import one_of

MODEL = "digits"  # on which figures and claims are measured unless another model is chosen


@dataclass(frozen=True)
class Effort:
    """How much is computed, and of what. What decides a result is in its key (``trained_runs.settings``).

    ``n`` is the number of images per arm, enough for medians over images that start from the same noise. Distances
    between sets of images, and 4-bit weights, need more: they are in the tables (``analysis.tables``). Quick is what
    `make reproduce` samples to look at, and what a check of a single claim takes to be tried.

    ``model`` is a model of the zoo, or what ``modiff_sim.nn.adapters.load`` takes: a folder, a file or a hub name.
    ``bits`` replace the bit widths that an experiment has of its own; empty, they stay.
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
    model: str = MODEL
    bits: tuple[int, ...] = ()

    def widths(self, own: tuple[int, ...]) -> tuple[int, ...]:
        """Return the bit widths of an experiment that has these of its own."""
        return self.bits or own

    def width(self, own: int) -> int:
        """Return the bit width of an experiment that has one. Raises ValueError where several were chosen."""
        if len(self.bits) > 1:
            raise ValueError(f"one number of bits is wanted here, got {', '.join(map(str, self.bits))}")
        return self.bits[0] if self.bits else own


EFFORTS = {
    "quick": Effort("quick", steps=12, n=16, weight_bits=(8,), n_recorded=16, batch=16),
    "full": Effort("full", steps=50, n=128, weight_bits=(8,), n_recorded=64),
}


def effort_of(effort: str | Effort) -> Effort:
    """Return the effort of this name; an ``Effort`` stays what it is.

    Raises ValueError, which lists the known ones, for another name.
    """
    if isinstance(effort, Effort):
        return effort
    one_of("effort", effort, EFFORTS)
    return EFFORTS[effort]
