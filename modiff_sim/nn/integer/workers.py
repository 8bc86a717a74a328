"""Threads that share a kernel's work, as many as torch would use."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache

import torch


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads beside the one that asks; those of a process that was forked do not exist in the fork."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"modiff-sim-{process}")


def shared(work: Callable[[int, int], None], items: int, *, least: int, multiple: int = 1) -> None:
    """Do ``work(first, last)`` for the parts of range(items), at the same time where that is worth it.

    Parameters
    ----------
    work : callable
        What does a part; a kernel, which lets other threads run.
    items : int
        How many there are.
    least : int
        A part is not smaller than this, unless it is the only one.
    multiple : int, default 1
        Parts begin at multiples of this.

    Examples
    --------
    >>> from modiff_sim.nn.integer.workers import shared
    >>> done = []
    >>> shared(lambda first, last: done.extend(range(first, last)), 10, least=4)
    >>> sorted(done) == list(range(10))
    True
    """
    parts = min(torch.get_num_threads(), max(1, items // max(least, 1)))
    if parts <= 1:
        return work(0, items)
    size = -(-items // parts // multiple) * multiple
    ranges = [(first, min(first + size, items)) for first in range(0, items, size)]
    waiting = [_pool(torch.get_num_threads() - 1, os.getpid()).submit(work, *part) for part in ranges[1:]]
    try:
        work(*ranges[0])
    finally:
        wait(waiting)  # after Ctrl-C too: they write into the caller's memory
    for other in waiting:
        other.result()
    return None
