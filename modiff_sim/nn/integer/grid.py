"""The scales of AbsMax from the largest entries of its blocks, for the paths that find these in their own way."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from ...quantizers import AbsMax


def scales(top: Tensor, Q: AbsMax) -> tuple[Tensor, list[float]]:
    """Return the scale of every block, and the largest entries on the CPU.

    Parameters
    ----------
    top : torch.Tensor
        max|x| of every block, in the dtype of x and of any shape.
    Q : AbsMax
        The quantizer.

    Returns
    -------
    torch.Tensor
        The scales in the shape of ``top``, 1 for a block of zeros.
    list of float
        The largest entries; NaN or Inf where the input holds such, or where the grid's end lies beyond the dtype.

    Examples
    --------
    >>> import torch
    >>> import modiff_sim as ms
    >>> from modiff_sim.nn.integer.grid import scales
    >>> scales(torch.tensor([3.5, 0.0]), ms.AbsMax(4))
    (tensor([0.5000, 1.0000]), [3.5, 0.0])
    """
    largest: list[float] = top.flatten().tolist()
    scale = top / Q.qmax
    if not max(largest) <= torch.finfo(top.dtype).max / 2:
        largest = top.masked_fill(~torch.isfinite(scale * Q.qmax), math.inf).flatten().tolist()
    if min(largest) < _may_vanish(Q.bits, top.dtype):
        scale.masked_fill_(scale == 0, 1.0)
    return scale, largest


@cache
def _may_vanish(bits: int, dtype: torch.dtype) -> float:
    """Below this max|x|/qmax may be 0."""
    return 2 ** (bits - 1) * torch.finfo(dtype).tiny
