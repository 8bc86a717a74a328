"""Exogenous input sequences a_0, a_1, ... in sampling order: what a layer is fed, independent of its quantization.

Each function returns a ``Process``. ``process.stream(rng, trials, steps)`` yields ``steps`` float64 arrays of shape
(trials, d), one per model call, so that only recorded sequences are held in memory. d_k = a_k - a_{k-1} is the
difference of call k.

drawn.py: walks, autoregressions and bursts. worst_cases.py: sequences that make a closed loop's error large. read.py:
recorded ones. A new process is a new file with a dictionary ``PROCESSES`` (see docs/extending.md).
"""

from __future__ import annotations

from collections.abc import Callable

from ...registry import entries
from .base import Array, Draw, Process
from .drawn import ar1, burst, geometric, random_walk
from .read import recorded
from .worst_cases import adversarial, alternating

__all__ = [
    "PROCESSES", "Array", "Draw", "Process", "adversarial", "alternating", "ar1", "burst", "geometric", "random_walk",
    "recorded",
]  # fmt: skip

#: the order of tables; a process that is not named here follows by name
ORDER = ("random_walk", "ar1", "geometric", "burst", "alternating", "adversarial", "recorded")

#: name -> constructor, from the dictionaries of this name in the files. The choices of the command line and the tests
#: iterate over it.
PROCESSES: dict[str, Callable[..., Process]] = entries(__name__, "PROCESSES")
