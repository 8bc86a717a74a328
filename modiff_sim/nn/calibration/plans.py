"""``Calibration``: the static ranges of a model's layers, as a plan, and as a file."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from torch import nn

from ...quantizers import Split
from ...quantizers.base import MAX_BITS, Quantizer
from ...sweeps.content import versions
from ...sweeps.files import write_atomic
from ..layers import find
from .ranges import Range, grid

FORMAT = "modiff-sim calibration 1"
#: of the quantizers' input, by what the calibration looked at
TARGETS = ("input", "difference", "closed_loop")


class CalibrationError(ValueError):
    """A calibration file is not what it says, or does not fit the model."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A plan of static quantizers: one range per layer, step group and part of the input. Made by ``calibrate``.

    ranges:     layer ("name#1" for a further occurrence) -> per step group -> per part -> (low, high); one part, or
                two where the layer is in ``cuts`` (layer -> channels of the first part).
    boundaries: the first call of every group; the first is 0. Calls beyond those calibrated belong to the last group:
                the residuals of a sampler's last steps are the nearest to theirs.
    model, target, method, bits, symmetric, samples, calls: the class of the model, what ``calibrate`` was asked for,
                and how many samples and calls it saw.
    changes:    target "closed_loop" only: per round of the static loop the largest relative change of a range.
    saturated:  and the share of residuals that the ranges it ran with clipped.

    A closed loop's first call is exact, so residual ranges are of calls 1 and later. With ``warmup="quantized"`` the
    first call meets ranges that were not made for it: what is clipped is counted by the audit.
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
        if self.target not in TARGETS:
            raise ValueError(f"unknown target {self.target!r}; known: {', '.join(TARGETS)}")
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
        """The static quantizer of a layer at a call (counted since the last reset). ValueError for an unknown layer."""
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
        """Whether the last round of the static loop moved no range by more than this."""
        return bool(self.changes) and self.changes[-1] < tolerance

    def check(self, model: nn.Module) -> None:
        """Raise CalibrationError unless every calibrated layer is one of the model's."""
        known = find(model, None)
        if missing := [name for name in self.ranges if name.partition("#")[0] not in known]:
            raise CalibrationError(
                f"{len(missing)} of {len(self.ranges)} calibrated layers (of a {self.model}), such as '{missing[0]}', "
                f"are not layers of this {type(model).__name__}"
            )

    # -- as a file ----------------------------------------------------------------------------------------------------
    def save(self, path: str | Path) -> None:
        """Write it as JSON, atomically; floats are written so that they are read back exactly."""
        content = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        document = {"format": FORMAT, "versions": versions(), **content}
        write_atomic(Path(path), json.dumps(document, indent=1, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: str | Path, *, model: nn.Module | None = None) -> Calibration:
        """Read one back; with ``model``, checked against its layers. CalibrationError names what is wrong and where."""
        try:
            document = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise CalibrationError(f"{path}: no readable calibration: {error}") from None
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
            raise CalibrationError(f"{path}: no proper calibration: {error}") from None
        if model is not None:
            made.check(model)
        return made


def _typed(document: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples they were, numbers checked."""
    ranges = {
        name: tuple(tuple((_finite(low), _finite(high)) for low, high in group) for group in groups)
        for name, groups in document["ranges"].items()
    }
    return {"ranges": ranges} | {k: tuple(document[k]) for k in ("boundaries", "changes", "saturated")}


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"a range is two finite numbers, got {value!r}")
    return float(value)
