"""Which cells make which table. A new table is a new entry of ``TABLES``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..experiments.arms import FULL, Arm
from . import printed
from .cells import Cell

#: micro-batches of 128 images, 16 of them: a group of the jackknife each
IMAGES = 2048
SOME = 512  # of tables that add an axis to another


@dataclass(frozen=True)
class Table:
    """Cells by row and column. Every number is of ``images`` images, with a jackknife interval.

    ``closer`` are cells that claims compare with each other, measured with more images as well, because ``images`` are
    few or leave a claim undecided: number of images -> these cells, or full precision alone, whose distance is a unit.

    ``printed`` are the paper's numbers for the same places, and ``of`` says what they were measured on.
    """

    title: str
    model: str
    cells: Mapping[tuple[str, str], Cell]
    images: int = IMAGES
    seed: int = 0
    printed: printed.Printed = field(default_factory=dict)
    of: str = ""
    closer: Mapping[int, Sequence[Cell]] = field(default_factory=dict)

    @property
    def wanted(self) -> list[tuple[Cell, int, int]]:
        """Everything that is measured: (cell, images, seed)."""
        more = [(cell, n, self.seed) for n, group in self.closer.items() for cell in group]
        return [*((cell, self.images, self.seed) for cell in self.measured), *more]

    @property
    def rows(self) -> list[str]:
        """The names of the rows, in order."""
        return list(dict.fromkeys(row for row, _ in self.cells))

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(dict.fromkeys(column for _, column in self.cells))

    @property
    def bases(self) -> list[Cell]:
        """What the cells are compared with: full precision, and quantized weights alone, under the same sampler."""
        return list(dict.fromkeys(each for cell in self.cells.values() for each in (cell.full, cell.weights_only)))

    @property
    def measured(self) -> list[Cell]:
        """Every cell once, those that others are compared with first."""
        return list(dict.fromkeys([*self.bases, *self.cells.values()]))


def _by_bits(
    bits: tuple[int, ...], columns: Mapping[str, Callable[[int, int], Cell]], weights: tuple[int, ...] = (8,)
) -> dict[tuple[str, str], Cell]:
    """Return cells in rows W8A8, W8A6, ...; each column makes a cell from (activation bits, weight bits)."""
    return {(f"W{w}A{b}", name): make(b, w) for w in weights for b in bits for name, make in columns.items()}


def _column(
    recursion: str, scale: str = "sample", *, warmup: str | int = "exact", refresh: str = "never", layers: str = "all",
    **sampling: Any,
) -> Callable[[int, int], Cell]:  # fmt: skip
    return lambda bits, weights: Cell(Arm(recursion, bits, weights, scale, warmup, refresh, layers), **sampling)


SHORT = {"direct": "direct", "closed": "closed_loop"}
RECURSIONS = {"direct": "direct", "open loop": "open_loop", "closed loop": "closed_loop"}
#: the words of the columns -> the layers whose activations are quantized
SELECTIONS = {"convolutions": "convolutions", "no time path": "no time path", "all layers": "all"}
HUNDRED = {"steps": 100}  # of DDIM with quad spacing, as for CIFAR-10 in the paper
DDPM_HUNDRED = {"sampler": "ddpm", "steps": 100, "spacing": "uniform"}
FIFTY = {"steps": 50, "spacing": "uniform"}
SOLVER: dict[str, Any] = {"sampler": "dpm_solver_2", "steps": 20, "spacing": "uniform"}
#: the samplers of the table of steps, with spacings that suit few steps
FEW_STEPS = (5, 10, 20, 50)
SWEPT = ("ddim", "ddpm", "dpm_solver_2", "dpm_solver_pp_2m")
SWEPT_BITS = (6, 4, 3)


def _ablation(bits: tuple[int, ...], selections: tuple[str, ...], **how: Any) -> dict[tuple[str, str], Cell]:
    """Return the cells of an ablation: every recursion with every selection of layers, channel-wise scales."""
    return _by_bits(bits, {
        f"{words}: {name}": _column(recursion, "channel", layers=SELECTIONS[words], **how)
        for words in selections for name, recursion in RECURSIONS.items()
    })  # fmt: skip


def _scales(bits: tuple[int, ...], scales: Sequence[str]) -> dict[tuple[str, str], Cell]:
    """Return cells with these scales, without and with MoDiff, at 8 and at 4 weight bits."""
    return _by_bits(
        bits,
        {f"{scale} {short}": _column(recursion, scale, **HUNDRED)
         for scale in scales for short, recursion in SHORT.items()},
        weights=(8, 4),
    )  # fmt: skip


def swept(bits: int) -> Arm:
    """Return the arm of the table of steps at these activation bits."""
    return FULL if bits == 32 else Arm("closed_loop", bits, 8)


def _sweep() -> dict[tuple[str, str], Cell]:
    cells = {}
    for sampler in SWEPT:
        for bits in (32, *SWEPT_BITS):
            for steps in FEW_STEPS:
                arm = swept(bits)
                cells[f"{sampler}, {arm.label}", f"{steps} steps"] = Cell(arm, sampler, steps, "uniform")
    return cells


WEIGHTS_ONLY = Arm(weight_bits=8)


def _near_a_mark() -> dict[int, list[Cell]]:
    """Return what of Table 1 lies near the 10 % that count as a loss, and between which bits there is a cliff."""
    cells = _scales((8, 6), ("static", "channel"))
    bases = [Cell(arm, **HUNDRED) for arm in (FULL, WEIGHTS_ONLY)]
    loss = [("W8A8", "static direct"), ("W8A8", "static closed"), ("W8A8", "channel direct")]
    loss += [("W8A6", f"channel {short}") for short in SHORT]
    cliff = [("W8A8", "static direct"), ("W8A8", "static closed"), ("W8A6", "static direct")]
    found = {n * IMAGES: [*bases, *(cells[place] for place in places)] for n, places in ((2, loss), (8, cliff))}
    return found | {4 * IMAGES: [bases[1], *(cells["W8A8", f"channel {short}"] for short in SHORT)]}


def _gains() -> dict[int, list[Cell]]:
    """Return what of Table 5 the gains at W8A3 are made of; the loss of the closed loop is the least certain."""
    arms = (FULL, WEIGHTS_ONLY, *(Arm(recursion, 3, 8) for recursion in SHORT.values()))
    return {
        n * IMAGES: [Cell(arm, sampler, **FIFTY) for sampler in ("ddpm", "ddim") for arm in chosen]
        for n, chosen in ((2, arms), (4, (WEIGHTS_ONLY, Arm("closed_loop", 3, 8))))
    }


def _six_bits() -> dict[int, list[Cell]]:
    """Return what of Table 15 is compared at W8A6, and full precision, in whose distance."""
    arms = (FULL, WEIGHTS_ONLY, Arm("closed_loop", 6, 8))
    return {n * IMAGES: [Cell(arm, **SOLVER) for arm in chosen] for n, chosen in ((2, arms), (8, (FULL,)))}


def _starts() -> dict[int, list[Cell]]:
    """Return what of Table 18 is compared: starts of the closed loop, and ordinary quantization with the same one."""
    starts = [Arm("closed_loop", bits, 8, warmup=warmup) for bits in (8, 6, 4) for warmup in ("exact", 4, 5)]
    arms = (FULL, WEIGHTS_ONLY, *starts, Arm("direct", 4, 8, warmup="exact for all"))
    near = (WEIGHTS_ONLY, *(Arm("closed_loop", 4, 8, warmup=warmup) for warmup in ("exact", 5)))
    return {n * IMAGES: [Cell(arm, **HUNDRED) for arm in chosen] for n, chosen in ((1, arms), (2, near))}


def _refreshed() -> dict[int, list[Cell]]:
    """Return what of Table 4-refresh is compared: both arms without compensation, all layers."""
    arms = [Arm(recursion, bits, 8, "channel", refresh="feb_2025") for recursion in ("direct", "open_loop")
            for bits in (6, 4)]  # fmt: skip
    return {IMAGES: [Cell(arm, **HUNDRED) for arm in (FULL, WEIGHTS_ONLY, *arms)]}


def _with_ddpm() -> dict[int, list[Cell]]:
    """Return what of Table 4-ddpm is compared: both arms without compensation, convolutions alone."""
    arms = [Arm(recursion, bits, 8, "channel", layers="convolutions") for recursion in ("direct", "open_loop")
            for bits in (6, 4)]  # fmt: skip
    return {IMAGES: [Cell(arm, **DDPM_HUNDRED) for arm in (FULL, WEIGHTS_ONLY, *arms)]}


def _fewest_steps() -> dict[int, list[Cell]]:
    """Return what of the table of steps is compared, at 3 bits: the fewest steps with 50."""
    arms, places = (FULL, WEIGHTS_ONLY, swept(3)), [(steps, sampler) for sampler in SWEPT for steps in (5, 50)]
    places += [(10, "ddim"), (10, "ddpm")]
    return {IMAGES: [Cell(arm, sampler, steps, "uniform") for steps, sampler in places for arm in arms]}


AT_32_COLUMNS: dict[str, dict[str, Any]] = {
    "DDIM 100": HUNDRED, "DDIM 50": {}, "DDPM 50": {"sampler": "ddpm", "spacing": "uniform"}, "DDIM 20": {"steps": 20},
    "DDIM 10": {"steps": 10},
}  # fmt: skip


def _at_32(*arms: tuple[str, Arm]) -> dict[tuple[str, str], Cell]:
    """Return cells of the 32×32 model: full precision and quantized weights alone for every column, then the arms."""
    columns = dict.fromkeys(column for column, _ in arms)
    bases = [(column, arm) for column in columns for arm in (FULL, Arm(weight_bits=8))]
    return {(arm.label, column): Cell(arm, **AT_32_COLUMNS[column]) for column, arm in (*bases, *arms)}


#: chosen so that every verdict has what it compares
AT_32 = _at_32(
    *(("DDIM 100", Arm("closed_loop", 3, 8, "channel", layers=layers)) for layers in ("no time path", "all")),
    ("DDIM 50", Arm("closed_loop", 3, 8)),
    *(("DDIM 50", Arm(recursion, 4, 8, "channel", layers=layers))
      for layers in ("convolutions", "all") for recursion in RECURSIONS.values()),
    ("DDIM 10", Arm("closed_loop", 3, 8)),
)  # fmt: skip
AT_32_DDPM = _at_32(
    *((column, Arm(recursion, 3, 8)) for column in ("DDIM 50", "DDPM 50") for recursion in SHORT.values())
)

#: the paper's ground, with half of its steps, and with 20 as in Table 16
IN_COLOUR = _at_32(
    ("DDIM 50", Arm("closed_loop", 3, 8, "channel", layers="no time path")),
    ("DDIM 50", Arm("closed_loop", 3, 8)),
    *(("DDIM 50", Arm(recursion, 4, 8, "channel", layers=layers))
      for layers in ("convolutions", "all") for recursion in RECURSIONS.values()),
    *(("DDIM 20", arm) for arm in (Arm("closed_loop", 6, 8), Arm("direct", 4, 8), Arm("closed_loop", 4, 8))),
)  # fmt: skip

TABLES: dict[str, Table] = {
    "1": Table(
        "bits × static (Q-Diff) and channel-wise dynamic (LCQ) scales, without and with MoDiff", "digits",
        _scales((8, 6, 4, 3), ("static", "channel")),
        printed=printed.TABLE_1, of="FID on CIFAR-10, 100 steps", closer=_near_a_mark(),
    ),
    "4": Table(
        "ablation: direct, modulation without and with compensation, by the layers that are quantized", "digits",
        _ablation((6, 4, 3), tuple(SELECTIONS), **HUNDRED),
        printed=printed.TABLE_4, of="CIFAR-10; printed there as FID at W8A8, W8A6 and W8A4",
    ),
    "4-ddpm": Table(
        "the same ablation with a stochastic sampler (DDPM, 100 steps)", "digits",
        _ablation((6, 4), ("convolutions", "all layers"), **DDPM_HUNDRED), images=SOME,
        closer=_with_ddpm(),
    ),
    "4-refresh": Table(
        "the same ablation with 11 of 100 calls in full precision, where states begin anew (code of February 2025)",
        "digits", _ablation((6, 4), ("convolutions", "all layers"), refresh="feb_2025", **HUNDRED), images=SOME,
        closer=_refreshed(),
    ),
    "5": Table(
        "DDPM against DDIM (one scale per sample)", "digits",
        _by_bits((8, 6, 4, 3), {
            f"{sampler.upper()} {short}": _column(recursion, sampler=sampler, **FIFTY)
            for sampler in ("ddpm", "ddim") for short, recursion in SHORT.items()
        }),
        closer=_gains(), printed=printed.TABLE_5, of="FID on LSUN-Bedrooms (the DDIM columns are Table 3's)",
    ),
    "14": Table(
        "tensor-wise dynamic scales, one per sample", "digits",
        _by_bits((8, 6, 4, 3), {short: _column(recursion, **HUNDRED) for short, recursion in SHORT.items()}),
        printed=printed.TABLE_14, of="FID on CIFAR-10, 100 steps",
    ),
    "15": Table(
        "DPM-Solver-2, 20 steps", "digits",
        _by_bits((8, 6, 4, 3), {short: _column(r, **SOLVER) for short, r in SHORT.items()}),
        closer=_six_bits(), printed=printed.TABLE_15, of="FID on CIFAR-10",
    ),
    "16": Table(
        "DDIM, 20 steps", "digits",
        _by_bits((8, 6, 4, 3), {short: _column(r, steps=20) for short, r in SHORT.items()}),
        printed=printed.TABLE_16, of="FID on CIFAR-10",
    ),
    "18": Table(
        "warm-up: the first call quantized, its input fed 4 and 5 times, or exact; direct without and with an exact "
        "first call", "digits",
        _by_bits((8, 6, 4), {
            "closed, first call quantized": _column("closed_loop", warmup="quantized", **HUNDRED),
            **{f"closed, fed {m} times": _column("closed_loop", warmup=m, **HUNDRED) for m in (4, 5)},
            "closed, first call exact": _column("closed_loop", **HUNDRED),
            "direct": _column("direct", **HUNDRED),
            "direct, first call exact": _column("direct", warmup="exact for all", **HUNDRED),
        }),
        images=SOME, closer=_starts(), printed=printed.TABLE_18, of="FID on CIFAR-10, 100 steps",
    ),
    "steps": Table(
        "steps × bits × sampler, closed loop with 8-bit weights", "digits", _sweep(), images=SOME,
        closer=_fewest_steps(),
    ),
    "fashion32": Table("the 32×32 model", "fashion32", AT_32, images=1024),
    "fashion32-ddpm": Table(
        "the 32×32 model with a stochastic sampler (one scale per sample)", "fashion32", AT_32_DDPM, images=1024
    ),
    "cifar10": Table("the colour model", "cifar10_small", IN_COLOUR, images=1024),
}  # fmt: skip


def cells_of(names: Sequence[str]) -> list[tuple[Cell, int, int]]:
    """Return everything that these tables need, once each: (cell, images, seed)."""
    return list(dict.fromkeys(each for name in names for each in TABLES[name].wanted))


def images_of(model: str, *cells: Cell) -> int:
    """Return the largest number of images with which all of these cells of a model were measured, in any table.

    Raises ValueError where no number of images is that of all of them.
    """
    wanted = {each for table in TABLES.values() if table.model == model for each in table.wanted}
    counts = [{images for each, images, _ in wanted if each == cell} for cell in cells]
    if not (shared := set.intersection(*counts)):
        raise ValueError(f"no table of {model!r} measures {' and '.join(cell.label for cell in cells)} alike")
    return max(shared)
