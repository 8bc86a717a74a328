"""The check of each law that a quantizer may declare (``laws.Laws``), on one input."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..names import one_of
from .base import Quantizer
from .laws import SLACK, LawBroken


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
    """||x - Q(x)||² <= c(d) ||x||² for every block of d entries that share a scale (sure quantizers only)."""
    if Q.laws.randomised:
        return
    blocks, axes = Q.blocks(np, x)
    wide = blocks.astype(np.float64)
    error = np.abs(wide - np.reshape(Q(x), blocks.shape))
    d = Q.granularity.block_size(x.shape)
    bound = Q.c(d) * np.sum(wide**2, axis=axes)
    slack = np.sum(2 * error * _slack(x) + _slack(x) ** 2, axis=axes)  # (e + δ)² - e², summed
    worst = float(np.max(np.sum(error**2, axis=axes) - bound - slack))
    if worst > 0:
        found = _largest(np.sum(error**2, axis=axes), np.sum(wide**2, axis=axes))
        _broken("c", Q, x, f"c = {Q.c(d):.4g} is declared for {d} entries, and the squared error is {found:.4g}·||x||²")


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
    """The mean of Q(x) over the random bits is x: averaged over K equally spaced bits it is within scale/K."""
    K = 64
    mean = sum(Q(x, random=np.full(x.shape, (j + 0.5) / K, x.dtype)).astype(np.float64) for j in range(K)) / K
    blocks, _ = Q.blocks(np, x)
    off = np.abs(np.reshape(mean, blocks.shape) - blocks)
    worst = float(np.max(off - Q.choose_qparams(x).scale / K))
    if worst > _slack(x):
        _broken("unbiased", Q, x, f"the mean over the random bits is off by {worst} more than scale/{K}")


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
    """Whether Q declares this law; c and kappa are always declared, ``error`` unless it is None."""
    one_of("law", law, LAWS)
    if law in ("c", "kappa"):
        return True
    value = getattr(Q.laws, law)
    return value is not None if law == "error" else bool(value)
