"""Warm-up and refresh: what can be asked for, and at which calls it applies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from numbers import Integral

from ..arguments import count

Warmup = str | int
Refresh = str | int | Sequence[int]

#: how often the first input may be fed: each feed is a call, and by then nothing is left that one more would change
MOST_FEEDS = 10**6


def check_warmup(warmup: Warmup) -> None:
    """Raise unless warmup is "exact", "quantized" or an int >= 1, and not more than ``MOST_FEEDS``."""
    ok = warmup in ("exact", "quantized") if isinstance(warmup, str) else feeds(warmup) >= 1
    if not ok:
        raise ValueError(
            f'warmup must be "exact", "quantized" or an int m >= 1 (first input fed m times), got {warmup!r}'
        )
    if not isinstance(warmup, str):
        count("warmup", warmup, most=MOST_FEEDS, why="as every feed is a call of its own")


def feeds(warmup: Warmup) -> int:
    """Return how often the first input is fed through the quantizer: 0 for "exact", 1 for "quantized", else m."""
    if isinstance(warmup, str):
        return int(warmup == "quantized")
    return int(warmup) if isinstance(warmup, Integral) and not isinstance(warmup, bool) else -1


def refresh_calls(refresh: Refresh) -> Callable[[int], bool]:
    """Return a function of a call that says whether it is a refresh. Call 0 is the warm-up's, never a refresh."""
    every, calls = _refresh(refresh)
    if every:
        return lambda call: call > 0 and call % every == 0
    return lambda call: call > 0 and call in calls


def refreshes(refresh: Refresh, calls: int) -> int:
    """Return how many of so many calls, counted from 0, are refreshes."""
    every, chosen = _refresh(refresh)
    return (calls - 1) // every if every else sum(0 < call < calls for call in chosen)


def _refresh(refresh: Refresh) -> tuple[int, frozenset[int]]:
    """(every how many calls, at which calls): one of the two, or (0, none) for "never"."""
    if isinstance(refresh, str):
        if refresh != "never":
            raise ValueError(f'refresh must be "never", an int k >= 1 or a sequence of call indices, got {refresh!r}')
        return 0, frozenset()
    if isinstance(refresh, Integral):
        if isinstance(refresh, bool) or refresh < 1:
            raise ValueError(f"refresh every k calls needs k >= 1, got {refresh!r}")
        return int(refresh), frozenset()
    if not isinstance(refresh, Iterable) or isinstance(refresh, bytes):
        raise TypeError(f'refresh must be "never", an int k >= 1 or a sequence of call indices, got {refresh!r}')
    calls = list(refresh)
    if not all(isinstance(i, Integral) and not isinstance(i, bool) and i >= 0 for i in calls):
        raise ValueError(f"refresh: call indices are ints >= 0, got {refresh!r}")
    return 0, frozenset(map(int, calls))
