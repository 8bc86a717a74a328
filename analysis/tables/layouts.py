"""Which cells make which table. A new table is a new entry of ``TABLES``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..experiments.arms import FULL, Arm
from . import printed
from .cells import Cell

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Table:
    """Cells by row and column. Every number is an interval over ``seeds``, with ``images`` per cell and seed.

    ``printed`` are the paper's numbers for the same places, and ``of`` says what they were measured on.
    """

    title: str
    model: str
    cells: Mapping[tuple[str, str], Cell]
    images: int = 128
    seeds: tuple[int, ...] = SEEDS
    printed: printed.Printed = field(default_factory=dict)
    of: str = ""

    @property
    def rows(self) -> list[str]:
        """The names of the rows, in order."""
        return list(dict.fromkeys(row for row, _ in self.cells))

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(dict.fromkeys(column for _, column in self.cells))

    @property
    def measured(self) -> list[Cell]:
        """Every cell once, with the full-precision cell of each sampler before those that it is compared with."""
        return list(dict.fromkeys(each for cell in self.cells.values() for each in (cell.full, cell)))


def _by_bits(
    bits: tuple[int, ...], columns: Mapping[str, Callable[[int, int], Cell]], weights: tuple[int, ...] = (8,)
) -> dict[tuple[str, str], Cell]:
    """Return cells in rows W8A8, W8A6, ...; each column makes a cell from (activation bits, weight bits)."""
    return {(f"W{w}A{b}", name): make(b, w) for w in weights for b in bits for name, make in columns.items()}


def _column(
    recursion: str, scale: str = "sample", *, warmup: str | int = "exact", refresh: str = "never", **sampling: object
) -> Callable[[int, int], Cell]:
    return lambda bits, weights: Cell(Arm(recursion, bits, weights, scale, warmup, refresh), **sampling)  # type: ignore[arg-type]


DIRECT_AND_CLOSED = {"direct": "direct", "closed loop": "closed_loop"}
SHORT = {"direct": "direct", "closed": "closed_loop"}
RECURSIONS = {"direct": "direct", "open loop": "open_loop", "closed loop": "closed_loop"}
#: the samplers of the table of steps, with spacings that suit few steps
FEW_STEPS = (5, 10, 20, 50, 100)
SWEPT = ("ddim", "ddpm", "dpm_solver_2", "dpm_solver_pp_2m")
SWEPT_BITS = (6, 4, 3)


def _sweep() -> dict[tuple[str, str], Cell]:
    cells = {}
    for sampler in SWEPT:
        for bits in (32, *SWEPT_BITS):
            for steps in FEW_STEPS:
                arm = FULL if bits == 32 else Arm("closed_loop", bits, 8)
                cells[f"{sampler}, {arm.label}", f"{steps} steps"] = Cell(arm, sampler, steps, "uniform")
    return cells


#: the cells of the 32×32 model, chosen so that every verdict has what it compares; 12 in all
AT_32 = {
    ("full precision", "DDIM 50"): Cell(),
    ("W8A6 direct", "DDIM 50"): Cell(Arm("direct", 6, 8)),
    ("W8A6 open loop", "DDIM 50"): Cell(Arm("open_loop", 6, 8)),
    ("W8A4 direct", "DDIM 50"): Cell(Arm("direct", 4, 8)),
    ("W8A4 open loop", "DDIM 50"): Cell(Arm("open_loop", 4, 8)),
    ("W8A4 closed loop", "DDIM 50"): Cell(Arm("closed_loop", 4, 8)),
    ("W8A3 closed loop", "DDIM 50"): Cell(Arm("closed_loop", 3, 8)),
    ("full precision", "DDPM 50"): Cell(sampler="ddpm", spacing="uniform"),
    ("W8A4 direct", "DDPM 50"): Cell(Arm("direct", 4, 8), "ddpm", spacing="uniform"),
    ("W8A4 closed loop", "DDPM 50"): Cell(Arm("closed_loop", 4, 8), "ddpm", spacing="uniform"),
    ("full precision", "DDIM 10"): Cell(steps=10),
    ("W8A3 closed loop", "DDIM 10"): Cell(Arm("closed_loop", 3, 8), steps=10),
}

TABLES: dict[str, Table] = {
    "1": Table(
        "bits × static (Q-Diff) and channel-wise dynamic (LCQ) scales, without and with MoDiff", "digits",
        _by_bits(
            (8, 6, 4, 3, 2),
            {f"{scale} {short}": _column(recursion, scale)
             for scale in ("static", "channel") for short, recursion in SHORT.items()},
            weights=(8, 4),
        ),
        printed=printed.TABLE_1, of="FID on CIFAR-10, 100 steps",
    ),
    "4": Table(
        "ablation: direct, modulation without and with compensation (channel-wise scales, 100 steps)", "digits",
        _by_bits((8, 6, 4, 3, 2), {n: _column(r, "channel", steps=100) for n, r in RECURSIONS.items()}), images=256,
        printed=printed.TABLE_4, of="CIFAR-10; printed there as FID at W8A8, W8A6 and W8A4",
    ),
    "5": Table(
        "DDPM against DDIM (one scale per sample)", "digits",
        _by_bits((8, 6, 4, 3), {
            f"{sampler.upper()} {short}": _column(recursion, sampler=sampler, spacing="uniform")
            for sampler in ("ddpm", "ddim") for short, recursion in SHORT.items()
        }),
        printed=printed.TABLE_5, of="FID on LSUN-Bedrooms (the DDIM columns are Table 3's)",
    ),
    "5b": Table(
        "DDPM against DDIM at W8A4, six seeds of 512 images", "digits",
        _by_bits((4,), {
            f"{sampler.upper()} {short}": _column(recursion, sampler=sampler, spacing="uniform")
            for sampler in ("ddpm", "ddim") for short, recursion in SHORT.items()
        }),
        images=512, seeds=(0, 1, 2, 3, 4, 5),
    ),
    "14": Table(
        "tensor-wise dynamic scales: one per sample, and one per micro-batch as the official default", "digits",
        _by_bits((8, 6, 4, 3, 2), {
            f"{scale} {short}": _column(recursion, scale)
            for scale in ("sample", "batch") for short, recursion in SHORT.items()
        }),
        printed=printed.TABLE_14, of="FID on CIFAR-10, 100 steps",
    ),
    "15": Table(
        "DPM-Solver-2, 20 steps", "digits",
        _by_bits((8, 6, 4, 3), {n: _column(r, sampler="dpm_solver_2", steps=20, spacing="uniform")
                                for n, r in DIRECT_AND_CLOSED.items()}),
        printed=printed.TABLE_15, of="FID on CIFAR-10",
    ),
    "16": Table(
        "DDIM, 20 steps", "digits",
        _by_bits((8, 6, 4, 3), {n: _column(r, steps=20) for n, r in DIRECT_AND_CLOSED.items()}),
        printed=printed.TABLE_16, of="FID on CIFAR-10",
    ),
    "18": Table(
        "warm-up: the first input quantized once, fed 2, 4 and 5 times, or exact", "digits",
        _by_bits((8, 6, 4, 3), {
            "first call quantized": _column("closed_loop", warmup="quantized"),
            **{f"fed {m} times": _column("closed_loop", warmup=m) for m in (2, 4, 5)},
            "first call exact": _column("closed_loop"),
        }),
        printed=printed.TABLE_18, of="FID on CIFAR-10, 100 steps",
    ),
    "steps": Table("steps × bits × sampler, closed loop with 8-bit weights", "digits", _sweep()),
    "refresh": Table(
        "when the state is made anew in full precision (DDIM, 100 steps)", "digits",
        _by_bits((4, 3), {
            "never": _column("closed_loop", steps=100),
            "11 calls, code of February 2025": _column("closed_loop", refresh="feb_2025", steps=100),
            "every call, June 2025": _column("closed_loop", refresh="every call", steps=100),
        }),
    ),
    "fashion32": Table("the 32×32 model", "fashion32", AT_32),
}  # fmt: skip


def cells_of(names: Sequence[str]) -> list[tuple[Cell, int, int]]:
    """Return everything that these tables need, once each: (cell, images, seed)."""
    wanted = ((cell, t.images, seed) for t in map(TABLES.__getitem__, names) for cell in t.measured for seed in t.seeds)
    return list(dict.fromkeys(wanted))
