"""Scalar arguments within their range: one place that refuses the others, with the name and what was given."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any


def number(
    name: str, value: Any, *, least: float = 0.0, above: float = -math.inf, below: float = math.inf, what: str = ""
) -> float:
    """``value``, if it is one real number with least <= value < below and value > above; ``what`` explains the name.

    Raises TypeError for what is no number (text, arrays, None, complex), ValueError for one out of range or NaN.
    """
    who = f"{name} is {what} and" if what else name
    if not isinstance(value, Real):
        raise TypeError(f"{who} must be one real number, got {value!r}")
    x: Any = value  # to a type checker a Real is not comparable with a float
    if not (least <= x < below and x > above):
        low, sign = (above, "<") if above >= least else (least, "<=")
        allowed = f"finite and {'>=' if sign == '<=' else '>'} {low:g}"
        if below < math.inf:
            allowed = f"such that {low:g} {sign} {name} < {below:g}"
        raise ValueError(f"{who} must be {allowed}, got {value}")
    return x


def count(name: str, value: Any, least: int = 1) -> int:
    """``value``, if it is an int (no bool) of at least ``least``; ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be an int >= {least}, got {value!r}")
    return int(value)
