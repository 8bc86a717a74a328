"""Warm-up and refresh: what may be asked for, and at which calls it applies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

Warmup = str | int
Refresh = str | int | Sequence[int]


def check_warmup(warmup: Warmup) -> None:
    """Raise unless warmup is "exact", "quantized" or an int >= 1."""
    ok = warmup in ("exact", "quantized") if isinstance(warmup, str) else feeds(warmup) >= 1
    if not ok:
        raise ValueError(
            f'warmup must be "exact", "quantized" or an int m >= 1 (first input fed m times), got {warmup!r}'
        )


def feeds(warmup: Warmup) -> int:
    """How often the first input is fed through the quantizer: 0 for "exact", 1 for "quantized", else m."""
    if isinstance(warmup, str):
        return int(warmup == "quantized")
    return warmup if isinstance(warmup, int) and not isinstance(warmup, bool) else -1


def refresh_calls(refresh: Refresh) -> Callable[[int], bool]:
    """call -> whether it is a refresh. Call 0 is the warm-up's, never a refresh."""
    if isinstance(refresh, str):
        if refresh != "never":
            raise ValueError(f'refresh must be "never", an int k >= 1 or a sequence of call indices, got {refresh!r}')
        return lambda call: False
    if not isinstance(refresh, int | Iterable):
        raise TypeError(f'refresh must be "never", an int k >= 1 or a sequence of call indices, got {refresh!r}')
    if isinstance(refresh, int):
        if isinstance(refresh, bool) or refresh < 1:
            raise ValueError(f"refresh every k calls needs k >= 1, got {refresh!r}")
        return lambda call: call > 0 and call % refresh == 0
    calls = frozenset(refresh)
    if not all(isinstance(i, int) and i >= 0 for i in calls):
        raise ValueError(f"refresh: call indices are ints >= 0, got {refresh!r}")
    return lambda call: call > 0 and call in calls
