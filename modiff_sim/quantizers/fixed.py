"""Quantizers whose scale is no function of the data: a static clipping scale, nothing kept, everything kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from array_api_compat import array_namespace

from ..laws import Laws
from ..quantizer import QParams, Quantizer
from .closed_form import need_dimension


@dataclass(frozen=True, kw_only=True)
class FixedScale(Quantizer):
    """Base of those whose scale is no function of the data: it cannot tell NaN or Inf, so the data is looked at."""

    worst: ClassVar[float] = 1.0  # c and kappa, whatever the dimension

    @property
    def step(self) -> float:
        """The scale."""
        return 1.0

    def choose_qparams(self, a: Any) -> QParams:
        xp = array_namespace(a)
        shape = self.granularity.scale_shape(tuple(a.shape))
        scale = xp.full(shape, self.step, dtype=a.dtype, device=a.device)
        return QParams(scale, zero_range=scale < 0)  # never degenerate

    def probe(self, a: Any, qparams: QParams) -> Any:
        xp = array_namespace(a)
        return xp.max(xp.abs(a))

    def c(self, d: int) -> float:
        return self.worst if need_dimension(d) else 0.0

    def kappa(self, d: int) -> float:
        return self.worst if need_dimension(d) else 0.0


@dataclass(frozen=True, kw_only=True)
class Static(FixedScale):
    """Symmetric with a fixed clipping scale: codes clip(round(x/scale), -(qmax+1), qmax), as two's complement.

    Never expands (c = kappa = 1: 0 is a level, and the nearest level is no further than it), but below half a step it
    removes nothing and beyond the last level it saturates: as a contraction it promises no more.
    """

    laws = Laws(error=None, c="tight", idempotent=True, scale_equivariant=False)
    min_bits = 2
    saturates = True
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"Static needs a finite scale > 0, got {self.scale}")

    @property
    def step(self) -> float:
        return self.scale

    @property
    def qmax(self) -> int:
        return int(2 ** (self.bits - 1) - 1)

    @property
    def limits(self) -> tuple[float, float]:
        return -(self.qmax + 1.5), self.qmax + 0.5

    def check(self, a: Any) -> None:
        super().check(a)
        info = array_namespace(a).finfo(a.dtype)
        if not float(info.smallest_normal) <= self.scale <= float(info.max) / (self.qmax + 1):
            raise ValueError(f"{self}: {a.dtype} cannot hold this scale times its codes: use float32 or another scale")

    def quantize(self, blocks: Any, qparams: QParams, *, random: Any = None) -> Any:
        xp = array_namespace(blocks)
        return xp.clip(xp.round(blocks / qparams.scale), -(self.qmax + 1), self.qmax)


@dataclass(frozen=True, kw_only=True)
class Zero(FixedScale):
    """0 bits: everything becomes zero. On a residual this is caching (the paper's Remark 4.1)."""

    laws = Laws(error=None, c="tight", idempotent=True, sign_equivariant=True)
    min_bits = 0
    fixed_bits = 0
    bits: int = field(default=0, kw_only=False)

    def quantize(self, blocks: Any, qparams: QParams, *, random: Any = None) -> Any:
        return array_namespace(blocks).zeros_like(blocks)


@dataclass(frozen=True, kw_only=True)
class Identity(FixedScale):
    """No quantization: the full-precision arm, counted as 32 bits."""

    laws = Laws(error=0.0, c="tight", idempotent=True, sign_equivariant=True)
    has_codes = False
    worst = 0.0
    fixed_bits = 32
    bits: int = field(default=32, kw_only=False)

    def quantize(self, blocks: Any, qparams: QParams, *, random: Any = None) -> Any:
        return blocks
