"""MACs, BOPs and cache memory: arithmetic on shapes only.

MAC: one multiply-accumulate. BOPs = MACs · weight bits · activation bits, the paper's "GBops" (full precision is 32).
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def conv_macs(output_shape: Sequence[int], kernel_shape: Sequence[int]) -> int:
    """MACs of a convolution: output elements (n, out, *size) times kernel (out, in/groups, *k) entries per output."""
    return math.prod(output_shape) * math.prod(kernel_shape[1:])


def linear_macs(output_shape: Sequence[int], in_features: int) -> int:
    """MACs of a linear layer: output elements (..., out) times in_features."""
    return math.prod(output_shape) * in_features


def bops(macs: float, weight_bits: float, activation_bits: float) -> float:
    """Bit operations of that many MACs."""
    return macs * weight_bits * activation_bits
