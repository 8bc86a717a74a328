"""The weight of a layer as integers with one scale per output channel, where it is that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...quantizers.base import Quantizer
from ..layers import Operator
from ..weights.codes import LayerCodes, spread
from ..weights.quantized import QuantizedWeights, encode


@dataclass(frozen=True, eq=False)
class IntegerWeight:
    """Codes (out, in, kernel positions) as int8, and scales (out,) as float32: weight = code · scale."""

    codes: Tensor
    scales: Tensor

    @classmethod
    def of(cls, operator: Operator) -> IntegerWeight:
        """Take the weight that a layer uses.

        Raises ValueError, which says why, where it is not of integers of 8 bits with a scale per output channel.
        """
        layer = _layer_codes(operator)
        if layer.scale[0].numel() > 1:
            raise ValueError(f"its weight has scales by {layer.granularity}, and not by output channel")
        codes = layer.codes.to(torch.int16)
        if layer.zero_point is not None:
            codes = codes - spread(layer.zero_point, tuple(codes.shape)).to(torch.int16)
        low, high = int(codes.min()), int(codes.max())
        if low < -128 or high > 127:
            raise ValueError(f"its weight spans {low} ... {high} without its zero points, which is beyond int8")
        if operator.quantized is not None and not torch.equal(layer.dequantize(), operator.quantized):
            raise ValueError("its weight is not what its codes say")
        scales = layer.scale.flatten().to(torch.float32).expand(len(codes)).contiguous()
        return cls(codes.to(torch.int8).reshape(*codes.shape[:2], -1), scales)


def _layer_codes(operator: Operator) -> LayerCodes:
    """The codes of a layer's weight. Raises ValueError where it has none."""
    weights: Any = operator.weights
    if operator.quantized is None:
        raise ValueError("its weight is in full precision")
    if isinstance(weights, QuantizedWeights):
        return weights.layers[operator.name]
    if not isinstance(weights, Quantizer):
        raise ValueError(f"{type(weights).__name__} gives its weight as floats, and not as codes")
    try:
        return encode(operator.own_weight, weights)
    except (TypeError, ValueError) as error:
        raise ValueError(f"its weight: {error}") from None
