"""``Calibration``: the static ranges of the layers of a model, as a plan and as a file."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from torch import nn

from ...names import one_of
from ...quantizers import Split
from ...quantizers.base import MAX_BITS, Quantizer
from ...sweeps.encoding import versions
from ...sweeps.files import write_atomic
from ..layers import find
from .ranges import Range, grid

FORMAT = "modiff-sim calibration 1"
#: what a calibration may look at
TARGETS = ("input", "difference", "closed_loop")


class CalibrationError(ValueError):
    """A calibration file is not what it claims to be, or does not fit the model."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A plan of static quantizers: one range per layer, step group and part of the input. Made by ``calibrate``.

    A closed loop's first call is exact, so residual ranges are those of calls 1 and later. With ``warmup="quantized"``
    the first call meets ranges that were not made for it; the audit counts what is clipped.

    Parameters
    ----------
    ranges : mapping of str to tuple
        Layer ("name#1" for a further occurrence) -> per step group -> per part -> (low, high). There is one part, or
        two where the layer is in ``cuts``.
    boundaries : tuple of int
        The first call of every group, ascending; the first is 0. Calls beyond those calibrated belong to the last
        group, because the residuals of a sampler's last steps are the nearest to theirs.
    bits : int
        Bits of the codes.
    symmetric : bool
        ``Static`` or ``StaticAffine`` grids.
    target, method : str
        What ``calibrate`` was asked for.
    model : str
        The class of the model.
    samples, calls : int
        How many samples and calls ``calibrate`` saw.
    cuts : mapping of str to int
        Layer -> channels of the first part.
    changes : tuple of float
        Target "closed_loop" only: per round of the static loop, the largest relative change of a range.
    saturated : tuple of float
        Target "closed_loop" only: per round, the share of residuals that its ranges clipped.

    Raises
    ------
    TypeError, ValueError
        For entries that do not fit together, naming the layer.

    Examples
    --------
    >>> from modiff_sim.nn import Calibration
    >>> ranges = {"proj": (((-1.75, 1.75),), ((-0.875, 0.875),))}  # two step groups, one part each
    >>> plan = Calibration(ranges=ranges, boundaries=(0, 10), bits=4, symmetric=True, target="difference",
    ...                    method="minmax", model="Net", samples=32, calls=20)
    >>> [plan.quantizer("proj", call).scale for call in (3, 12)]
    [0.25, 0.125]
    """

    ranges: Mapping[str, tuple[tuple[Range, ...], ...]]
    boundaries: tuple[int, ...]
    bits: int
    symmetric: bool
    target: str
    method: str
    model: str
    samples: int
    calls: int
    cuts: Mapping[str, int] = field(default_factory=dict)
    changes: tuple[float, ...] = ()
    saturated: tuple[float, ...] = ()
    _made: dict[str, tuple[Quantizer, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        one_of("target", self.target, TARGETS)
        if not isinstance(self.symmetric, bool) or isinstance(self.bits, bool) or not isinstance(self.bits, int):
            raise TypeError(f"bits are an int, symmetric is a bool; got {self.bits!r}, {self.symmetric!r}")
        if not 1 <= self.bits <= MAX_BITS:
            raise ValueError(f"bits are 1 to {MAX_BITS}, got {self.bits}")
        if not self.ranges or not self.boundaries or self.boundaries[0] != 0:
            raise ValueError(f"a calibration has ranges, and its groups begin at call 0, got {self.boundaries}")
        if list(self.boundaries) != sorted(set(self.boundaries)):
            raise ValueError(f"step groups begin at ascending calls, got {self.boundaries}")
        for name, groups in self.ranges.items():
            parts = 1 + (self._cut(name) is not None)
            if len(groups) != len(self.boundaries) or any(len(group) != parts for group in groups):
                raise ValueError(
                    f"layer '{name}': {len(self.boundaries)} groups of {parts} ranges are needed, got {groups}"
                )
            self._made[name] = tuple(self._quantizer(name, group) for group in groups)

    def _cut(self, name: str) -> int | None:
        return self.cuts.get(name.partition("#")[0])

    def _quantizer(self, name: str, group: tuple[Range, ...]) -> Quantizer:
        try:
            made = tuple(grid(bounds, self.bits, self.symmetric) for bounds in group)
        except (TypeError, ValueError) as error:
            raise type(error)(f"layer '{name}': {error}") from None
        cut = self._cut(name)
        return made[0] if cut is None else Split(made, at=(cut,))

    def quantizer(self, name: str, call: int) -> Quantizer:
        """The static quantizer of a layer at a call, counted since the last reset.

        Raises ValueError for a layer that was not calibrated.
        """
        if name not in self._made:
            raise ValueError(
                f"layer '{name}' was not calibrated ({len(self.ranges)} layers were, such as "
                f"'{next(iter(self.ranges))}'): calibrate this model, or leave the layer out with where="
            )
        return self._made[name][bisect_right(self.boundaries, call) - 1]

    def __str__(self) -> str:
        """For messages and audits: what it is, not all its numbers."""
        groups = f", {len(self.boundaries)} step groups" if len(self.boundaries) > 1 else ""
        return f"Calibration({self.bits} bits, {self.method} of {self.target}, {len(self.ranges)} layers{groups})"

    def converged(self, tolerance: float = 0.1) -> bool:
        """Whether the last round of the static loop moved every range by less than ``tolerance`` (relative)."""
        return bool(self.changes) and self.changes[-1] < tolerance

    def check(self, model: nn.Module) -> None:
        """Raise CalibrationError unless every calibrated layer is a layer of the model."""
        known = find(model, None)
        if missing := [name for name in self.ranges if name.partition("#")[0] not in known]:
            raise CalibrationError(
                f"{len(missing)} of {len(self.ranges)} calibrated layers (of a {self.model}), such as '{missing[0]}', "
                f"are not layers of this {type(model).__name__}"
            )

    # -- as a file ----------------------------------------------------------------------------------------------------
    def save(self, path: str | Path) -> None:
        """Write the calibration as JSON, atomically. Floats are written so that they are read back exactly."""
        content = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        document = {"format": FORMAT, "versions": versions(), **content}
        write_atomic(Path(path), json.dumps(document, indent=1, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: str | Path, *, model: nn.Module | None = None) -> Calibration:
        """Read a calibration; with ``model``, check it against the layers of that model.

        Raises CalibrationError, which says what is wrong and where.
        """
        try:
            document = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise CalibrationError(f"{path}: not a readable calibration: {error}") from None
        found = document.pop("format", None) if isinstance(document, dict) else None
        if found != FORMAT:
            raise CalibrationError(f"{path}: not a calibration of this version: format {found!r}, expected {FORMAT!r}")
        document.pop("versions", None)
        known = {f.name for f in fields(cls) if f.init}
        if set(document) != known:
            odd = ", ".join(sorted(set(document) ^ known))
            raise CalibrationError(f"{path}: its entries are not those of a calibration: {odd} missing or too many")
        try:
            made = cls(**(document | _typed(document)))
        except (TypeError, ValueError, AttributeError) as error:
            raise CalibrationError(f"{path}: not a valid calibration: {error}") from None
        if model is not None:
            made.check(model)
        return made


def _typed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The lists of JSON as the tuples that they were, with their numbers checked."""
    ranges = {
        name: tuple(tuple((_finite(low), _finite(high)) for low, high in group) for group in groups)
        for name, groups in document["ranges"].items()
    }
    return {"ranges": ranges} | {k: tuple(document[k]) for k in ("boundaries", "changes", "saturated")}


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"a range is two finite numbers, got {value!r}")
    return float(value)
