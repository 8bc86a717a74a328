"""What one layer did: its calls, MACs, bits, and what was found on its grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ... import cost
from ...cost import FULL_BITS as FULL
from ...quantizers.base import QParams, Quantizer
from ...typing import Array


def _clipped(Q: Quantizer, residual: Array, qparams: QParams) -> int:
    """Return how many entries lie beyond the ends of the grid.

    The extremes tell where none does, which is so for most layers. That takes one scale, and a quantizer that goes by
    its ``limits``.
    """
    scale = qparams.scale
    if type(Q).clipped is Quantizer.clipped and isinstance(scale, torch.Tensor) and scale.numel() == 1:
        (low, high), ends = Q.limits, torch.stack(torch.aminmax(residual)) / scale.reshape(())
        if low <= float(ends[0]) and float(ends[1]) <= high:
            return 0
    return int(Q.clipped(residual, qparams).sum())


@dataclass
class LayerCount:
    """What one layer did since the run began. MACs are those of the whole batch, summed over calls.

    Parameters
    ----------
    name : str
        Qualified name of the layer.
    kind : str
        "Conv1d", "Conv2d" or "Linear"; "qk" or "sv" for a product of two activations.
    weight_bits : int, default 32
        Bits of the weight; for a product of two activations, those of the right operand.
    calls, quantized_calls : int
        Calls, and those of them on quantized values.
    integer_calls : int
        Those of ``quantized_calls`` that ran on integers; the others are simulated.
    macs, quantized_macs : int
        MACs, and those of them in quantized calls, skipped ones included.
    bit_macs : float
        The sum of MACs times activation bits over the quantized calls.
    bops : float
        Bit operations.
    skipped_macs : int
        MACs that were not computed: at 0 bits, below a threshold, or in a branch whose output is used again.
    saturated : float
        How many values lay beyond the last level (static scales only).
    values : int
        How many values were looked at for ``saturated``.
    zero_range : int
        Blocks whose scale was 0: they hold exact zeros, so there is nothing to quantize.
    blocks : int
        How many scales were taken.
    samples : int
        Samples of the model, summed over the calls in which scales were taken.

    Examples
    --------
    >>> from modiff_sim.nn import LayerCount
    >>> count = LayerCount("conv_in", "Conv2d", weight_bits=8)
    >>> count.full(macs=100)  # the first call
    >>> count.quantized(macs=100, bits=4)
    >>> count.calls, count.quantized_macs, count.activation_bits
    (2, 100, 4.0)
    """

    name: str
    kind: str
    weight_bits: int = FULL
    calls: int = 0
    quantized_calls: int = 0
    macs: int = 0
    quantized_macs: int = 0  # including those skipped
    bit_macs: float = 0.0  # Σ MACs · activation bits over quantized calls
    bops: float = 0.0
    skipped_macs: int = 0  # at 0 bits, below a threshold, or in a reused branch
    saturated: float = 0.0  # values beyond the last level (static scales only)
    values: int = 0
    zero_range: int = 0  # blocks whose scale was 0: exact zeros, nothing to quantize
    blocks: int = 0  # scales that were taken
    samples: int = 0  # of the model, summed over the calls in which scales were taken
    integer_calls: int = 0

    def full(self, macs: int, *, skipped: int = 0) -> None:
        """Count a call in full precision: a first call, a refresh, or Identity.

        ``skipped`` of its MACs lay below a threshold, which counts as 0 bits.
        """
        self.calls += 1
        self.macs += macs
        self.quantized_macs += skipped
        self.skipped_macs += skipped
        self.bops += cost.bops(macs - skipped, self.weight_bits, FULL)

    def quantized(self, macs: int, bits: float, *, skipped: int = 0, bops: float | None = None) -> None:
        """Count a call on quantized values, of whose MACs ``skipped`` were not needed.

        ``bops`` are its bit operations where they are not MACs times weight bits times activation bits.
        """
        self.calls += 1
        self.macs += macs
        self.quantized_calls += 1
        self.quantized_macs += macs
        self.skipped_macs += skipped
        self.bit_macs += bits * (macs - skipped)
        self.bops += cost.bops(macs - skipped, self.weight_bits, bits) if bops is None else bops

    def grid(self, Q: Quantizer, residual: Array, qparams: QParams | None, samples: int = 0) -> None:
        """Count what was found on the grid: blocks without range, and entries beyond the grid's ends.

        ``samples`` is the number of samples of the model call.
        """
        assert qparams is not None
        told = qparams.scale if qparams.zero_range is None else qparams.zero_range
        self.blocks += getattr(told, "numel", lambda: 1)()  # the scale of a foreign quantizer may be a plain number
        self.samples += samples
        if qparams.zero_range is not None:
            self.zero_range += int(qparams.zero_range.sum())
        if Q.saturates:
            self.values += residual.numel()
            self.saturated += _clipped(Q, residual, qparams)

    @property
    def activation_bits(self) -> float:
        """Mean bits of the quantized calls that were computed; NaN where there is none."""
        computed = self.quantized_macs - self.skipped_macs
        return self.bit_macs / computed if computed else (0.0 if self.quantized_macs else float("nan"))

    @property
    def scales_per_sample(self) -> float:
        """Scales per sample of the model; NaN where nothing was counted.

        It is 1 for one scale per sample if axis 0 of the layer's input is the sample axis, and the number of tokens or
        frames where those lie on axis 0.
        """
        return self.blocks / self.samples if self.samples else float("nan")

    def row(self) -> dict[str, Any]:
        """The counts and shares as a dict, which is one row of the audit's table."""
        return {
            "layer": self.name, "kind": self.kind, "weight_bits": self.weight_bits,
            "activation_bits": self.activation_bits, "calls": self.calls, "quantized_calls": self.quantized_calls,
            "integer_calls": self.integer_calls,
            "macs": self.macs, "quantized_macs": self.quantized_macs, "skipped_macs": self.skipped_macs,
            "bops": self.bops,
            "saturated_share": self.saturated / self.values if self.values else 0.0,
            "zero_range_share": self.zero_range / self.blocks if self.blocks else 0.0,
            "scales_per_sample": self.scales_per_sample,
        }  # fmt: skip
