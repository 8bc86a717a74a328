"""The check of each law that a quantizer may declare (``laws.Laws``), on one input."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..names import one_of
from .base import Quantizer
from .laws import SLACK, LawBroken
from .random_means import refuted


def _slack(x: np.ndarray) -> Any:
    return SLACK * np.finfo(x.dtype).eps * float(np.max(np.abs(x)))


def _broken(law: str, Q: Quantizer, x: np.ndarray, detail: str) -> None:
    raise LawBroken(f"{Q} breaks its law '{law}' at x = {x!r}: {detail}")


def _checked(law: Callable[..., None]) -> Callable[..., None]:
    """The law's check, for an input that the quantizer takes."""

    @wraps(law)
    def check(Q: Quantizer, x: np.ndarray, random: np.ndarray | None = None) -> None:
        Q.check(x)
        if not np.isfinite(x).all():
            raise ValueError(f"laws hold for finite inputs, got NaN or Inf: {x!r}")
        law(Q, x, random=random)

    return check


@_checked
def error_law(Q: Quantizer, x: np.ndarray, random: np.ndarray | None = None) -> None:
    """|x - Q(x)| <= r·scale, entry by entry."""
    r = Q.laws.error
    if r is None:
        return
    blocks, _ = Q.blocks(np, x)
    scale = Q.choose_qparams(x).scale
    error = np.abs(blocks - np.reshape(Q(x, random=random), blocks.shape))
    worst = float(np.max(error - r * scale))
    if worst > _slack(x):
        _broken("error", Q, x, f"exceeds {r}·scale by {worst}")


def _largest(error: np.ndarray, size: np.ndarray) -> float:
    """Return the largest ratio of an error to the size of its block; infinite for an error of zeros."""
    return float(np.max(np.divide(error, size, out=np.where(error > 0, np.inf, 0.0), where=size > 0)))


@_checked
def c_law(Q: Quantizer, x: np.ndarray, random: np.ndarray | None = None) -> None:
    """||x - Q(x)||² <= c(d) ||x||² for every block of d entries that share a scale.

    For a randomised quantizer the left side is its mean over random bits (``random_means``), whatever ``random`` is.
    """
    blocks, axes = Q.blocks(np, x)
    wide, d = blocks.astype(np.float64), Q.granularity.block_size(x.shape)
    size, c = np.sum(wide**2, axis=axes), Q.c(d)

    def squares(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.sum((wide - np.reshape(values, blocks.shape)) ** 2, axis=axes))

    def excess(lost: np.ndarray) -> np.ndarray:  # by Cauchy-Schwarz, errors that sum to √d·√lost may each be off by δ
        return lost - c * size - (2 * np.sqrt(d * lost) * _slack(x) + d * _slack(x) ** 2)

    if Q.laws.randomised:
        lost, what = refuted(Q, x, squares, excess), "the squared error in the mean over random bits"
    else:
        lost, what = squares(Q(x)), "the squared error"
        lost = lost if np.any(excess(lost) > 0) else None
    if lost is not None:
        _broken("c", Q, x, f"c = {c:.4g} is declared for {d} entries, and {what} is {_largest(lost, size):.4g}·||x||²")


@_checked
def kappa_law(Q: Quantizer, x: np.ndarray, random: np.ndarray | None = None) -> None:
    """||x - Q(x)||_inf <= kappa ||x||_inf for every block."""
    blocks, axes = Q.blocks(np, x)
    error = np.max(np.abs(blocks - np.reshape(Q(x, random=random), blocks.shape)), axis=axes)
    size = np.max(np.abs(blocks), axis=axes)
    kappa = Q.kappa(Q.granularity.block_size(x.shape))
    worst = float(np.max(error - (kappa + SLACK * np.finfo(x.dtype).eps) * size))
    if worst > 0:
        _broken(
            "kappa", Q, x, f"kappa = {kappa:.4g} is declared, and the error is {_largest(error, size):.4g}·||x||_inf"
        )


@_checked
def idempotent_law(Q: Quantizer, x: np.ndarray, random: np.ndarray | None = None) -> None:
    """Q(Q(x)) = Q(x)."""
    once = Q(x, random=random)
    moved = float(np.max(np.abs(Q(once, random=random) - once)))
    if moved > _slack(x):
        _broken("idempotent", Q, x, f"a second application moves an entry by {moved}")


@_checked
def sign_law(Q: Quantizer, x: np.ndarray, random: np.ndarray | None = None) -> None:
    """Q(-x) = -Q(x), exactly."""
    of_minus, minus_of = Q(-x, random=random), -Q(x, random=random)
    if not np.array_equal(of_minus, minus_of):
        _broken("sign_equivariant", Q, x, f"Q(-x) = {of_minus!r}, -Q(x) = {minus_of!r}")


@_checked
def scale_law(Q: Quantizer, x: np.ndarray, random: np.ndarray | None = None) -> None:
    """Q(2^k x) = 2^k Q(x), exactly: scaling by a power of two commutes with every float operation."""
    for factor in (0.25, 8.0):
        f = x.dtype.type(factor)
        if not np.array_equal(Q(f * x, random=random), f * Q(x, random=random)):
            _broken("scale_equivariant", Q, x, f"fails at factor {factor}")


@_checked
def zero_law(Q: Quantizer, x: np.ndarray, random: np.ndarray | None = None) -> None:
    """A zero entry stays zero, and a zero array stays zero."""
    with_zero = np.where(np.arange(x.size).reshape(x.shape) % 2 == 0, np.zeros_like(x), x)
    if np.any(Q(with_zero, random=random)[with_zero == 0] != 0) or np.any(Q(np.zeros_like(x), random=random) != 0):
        _broken("zero_to_zero", Q, with_zero, "a zero came back different")


@_checked
def unbiased_law(Q: Quantizer, x: np.ndarray, random: np.ndarray | None = None) -> None:
    """The mean of Q(x) over the random bits is x (``random_means``), as nearly as random numbers of its dtype allow."""
    wide, slack = x.astype(np.float64), _slack(x)
    if Q.laws.randomised:
        off = refuted(Q, x, lambda values: values - wide, lambda mean: np.abs(mean) - slack)
        if off is not None:
            slack = slack + np.finfo(x.dtype).eps * _jump(Q, x)
            off = refuted(Q, x, lambda values: values - wide, lambda mean: np.abs(mean) - slack)
    else:
        off = Q(x) - wide
    if off is not None and np.any(np.abs(off) > slack):
        _broken("unbiased", Q, x, f"the mean over the random bits is off by {np.max(np.abs(off)):.4g}")


def _jump(Q: Quantizer, x: np.ndarray) -> float:
    """Return the most that a random number makes of a difference, at inputs of some sizes in the shape of x.

    No random number lies nearer to 1 than half of the dtype's eps, so that what happens with a smaller probability
    never does: a mean can be off by eps times this, without its being seen at x.
    """
    found = 0.0
    for size in np.geomspace(2.0**-10, 8, 14):
        y, ends = np.full_like(x, size), (0, np.nextafter(x.dtype.type(1), x.dtype.type(0)))
        low, high = (Q(y, random=np.full_like(x, end)).astype(np.float64) for end in ends)
        found = max(found, float(np.max(np.abs(high - low))))
    return found


#: law name -> its check ``(Q, x, random=None) -> None``, raising LawBroken. ``declared`` says whether it applies.
LAWS: dict[str, Callable[..., None]] = {
    "error": error_law,
    "c": c_law,
    "kappa": kappa_law,
    "idempotent": idempotent_law,
    "sign_equivariant": sign_law,
    "scale_equivariant": scale_law,
    "zero_to_zero": zero_law,
    "unbiased": unbiased_law,
}


def declared(Q: Quantizer, law: str) -> bool:
    """Whether Q declares this law: c and kappa where they are finite, ``error`` unless it is None."""
    one_of("law", law, LAWS)
    if law in ("c", "kappa"):
        return getattr(Q, law)(1) < math.inf
    value = getattr(Q.laws, law)
    return value is not None if law == "error" else bool(value)
