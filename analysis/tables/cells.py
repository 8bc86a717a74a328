"""A cell is what is sampled for one number of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from modiff_sim.diffusion.samplers import SAMPLERS
from modiff_sim.diffusion.schedules import SPACINGS
from modiff_sim.names import one_of

from ..experiments.arms import FULL, Arm


@dataclass(frozen=True)
class Cell:
    """An arm under a sampler. ``steps`` counts timesteps; samplers that call the model twice at one make more calls."""

    arm: Arm = FULL
    sampler: str = "ddim"
    steps: int = 50
    spacing: str = "quad"

    def __post_init__(self) -> None:
        for what, given, known in (("sampler", self.sampler, SAMPLERS), ("spacing", self.spacing, SPACINGS)):
            one_of(what, given, known)

    @property
    def full(self) -> Cell:
        """Full precision under the same sampler, with which the cell is compared."""
        return replace(self, arm=FULL)

    @property
    def weights_only(self) -> Cell:
        """Quantized weights and activations in full precision: what quantized activations alone are compared with."""
        return replace(self, arm=Arm(weight_bits=self.arm.weight_bits))

    @property
    def ground(self) -> str:
        """The sampler in words."""
        return f"{self.sampler}, {self.steps} steps, {self.spacing}"

    @property
    def label(self) -> str:
        """The arm and the sampler in words."""
        return f"{self.arm.label} ({self.ground})"


def flat(cell: Cell) -> dict[str, Any]:
    """Return the columns that name a cell in the table of rows."""
    about = asdict(cell)
    return about.pop("arm") | about


def from_flat(row: Mapping[str, Any]) -> Cell:
    """Return the cell of a row that ``flat`` made."""
    warmup = row["warmup"]
    arm = Arm(
        row["recursion"],
        int(row["bits"]),
        int(row["weight_bits"]),
        row["scale"],
        int(warmup) if str(warmup).isdecimal() else warmup,
        row["refresh"],
        row.get("layers", "all"),  # rows that were measured before there was a choice
    )
    return Cell(arm, row["sampler"], int(row["steps"]), row["spacing"])
