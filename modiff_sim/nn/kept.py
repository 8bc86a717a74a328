"""What a run keeps of a layer between calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Like:
    """What the next input must be like."""

    shape: Any
    dtype: torch.dtype
    device: torch.device

    def __init__(self, a: Tensor) -> None:
        for name in ("shape", "dtype", "device"):
            object.__setattr__(self, name, getattr(a, name))


class Kept(NamedTuple):
    """A layer's state between calls, as ``recursion.State`` without what only observers need.

    ``like`` is what the next input must be like, ``spare`` see ``lean.Step``.
    """

    ref: Any
    o_hat: Any
    call: int
    like: Any = None
    spare: Any = None
