"""The threads among which kernels divide their work: those of torch's own OpenMP.

After one of torch's operations its threads wait for the next one for some milliseconds without sleeping. Threads of
another kind would have to share the cores with them, and two would be slower than one.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Team:
    """GNU's OpenMP as torch has loaded it.

    Parameters
    ----------
    parallel : callable
        ``GOMP_parallel(function, data, 0, 0)`` calls a function, by its address, in every thread, with this address.
    number, size : int
        Addresses of functions without arguments: the number of the thread that calls, and how many there are.
    """

    parallel: Callable[..., None]
    number: int
    size: int


@cache
def team() -> Team | None:
    """Return torch's threads; None where torch has others than GNU's, as on Windows and macOS."""
    beside = sorted(Path(torch.__file__).parent.glob("lib/libgomp*.so*"))
    for name in (*map(str, beside), "libgomp.so.1"):
        try:
            found: Any = ctypes.CDLL(name, mode=getattr(os, "RTLD_NOLOAD", 0) | ctypes.DEFAULT_MODE)
            parallel, number, size = found.GOMP_parallel, found.omp_get_thread_num, found.omp_get_num_threads
        except (OSError, AttributeError):  # not loaded, or not OpenMP
            continue
        parallel.restype = None
        parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        return Team(parallel, *(ctypes.cast(f, ctypes.c_void_p).value or 0 for f in (number, size)))
    return None


def part(items: int, least: int, multiple: int = 1) -> int:
    """Return how many items a thread takes at a time: all, where several parts are not worth it.

    Parameters
    ----------
    items : int
        How many there are.
    least : int
        Parts are not smaller than this.
    multiple : int, default 1
        Parts begin at multiples of this.

    Examples
    --------
    >>> import torch
    >>> from modiff_sim.nn.integer.threads import part
    >>> part(100, least=100), part(100, least=1) * torch.get_num_threads() >= 100
    (100, True)
    """
    parts = min(torch.get_num_threads(), max(1, items // max(least, 1)))
    return items if parts <= 1 else -(-items // parts // multiple) * multiple
