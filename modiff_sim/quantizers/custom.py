"""A quantizer of a plain function, for trying an idea before a family is written for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from array_api_compat import array_namespace

from ..arguments import namespace, number
from ..typing import Array
from .base import QParams, Quantizer, require_floating
from .laws import Laws
from .worst_case import need_dimension

Constant = float | Callable[[int], float]
#: what holds for every function, since nothing is declared
NOTHING = Laws(error=None, c="upper", kappa="upper", scale_equivariant=False, zero_to_zero=False)


@dataclass(frozen=True, kw_only=True)
class Custom(Quantizer):
    """Quantizer that does what a function does, with the constants that you declare for it.

    It runs wherever a quantizer runs, by its function alone: fast paths decline it. ``testing.check_quantizer`` tries
    to refute what is declared.

    Parameters
    ----------
    fn : callable
        Array of float -> array of the same shape and dtype; axis 0 is the sample. With ``laws.randomised`` it is called
        with a second array, uniform in [0, 1), of the same shape. It must not write into its arguments.
    kappa : float or callable, optional
        ||x - Q(x)||_inf <= kappa ||x||_inf, as a number or a function of d. By default √(c·d), which follows from c.
    c : float or callable, optional
        ||x - Q(x)||² <= c ||x||², as a number or a function of d. By default d·kappa², which follows from kappa.
    bits : int, default 32
        How many bits costs are counted with.
    granularity : Granularity or str, default PerSample()
        Which entries the constants are about.
    laws : Laws, optional
        Symmetries that are to be tested as well. By default none is declared.

    Raises
    ------
    TypeError
        If ``fn`` is not a function, or a constant is neither a number nor a function.
    ValueError
        If neither constant is given, or a number is negative or NaN.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> from modiff_sim.testing import check_quantizer
    >>> def halves(x):
    ...     largest = abs(x).max(axis=1, keepdims=True)
    ...     return np.where(largest > 0, np.round(2 * x / np.where(largest > 0, largest, 1)) / 2 * largest, 0)
    >>> Q = ms.Custom(halves, kappa=1 / 4, bits=3)
    >>> Q(np.array([[4.0, 1.2, -0.4]]))
    array([[ 4.,  2., -0.]])
    >>> Q.kappa(64), Q.c(64), check_quantizer(Q, examples=5)
    (0.25, 4.0, ['c', 'kappa'])
    """

    integer_codes = False

    laws: Laws = NOTHING  # type: ignore[misc]
    fn: Callable[..., Any] = field(kw_only=False)
    bits: int = field(default=32, kw_only=True)
    kappa: Constant | None = None  # type: ignore[assignment]
    c: Constant | None = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.fn) or isinstance(self.fn, type):
            raise TypeError(f"Custom takes a function from an array to an array, got {self.fn!r}")
        if self.kappa is None and self.c is None:
            raise ValueError(f"{self}: declare kappa or c, from which the other follows; 1 says that nothing is gained")
        kappa, c = (
            None if each is None else _of_d(name, each) for name, each in (("kappa", self.kappa), ("c", self.c))
        )
        # ||e||_inf <= ||e||_2 and ||x||_2 <= √d ||x||_inf, and so for e and x exchanged
        object.__setattr__(self, "kappa", kappa or _Root(c))
        object.__setattr__(self, "c", c or _Square(kappa))

    def __str__(self) -> str:
        return f"Custom({getattr(self.fn, '__qualname__', type(self.fn).__name__)})"

    def check(self, a: Array) -> None:
        """Raise unless ``a`` is a non-empty array of real floats that fits the granularity."""
        require_floating(namespace(str(self), a), a, str(self))
        self.granularity.blocked(tuple(a.shape))

    def apply(self, a: Array, *, random: Array | None = None) -> tuple[Array, QParams]:
        """Return what the function returns, and a scale of 1."""
        xp = array_namespace(a)
        values = self.fn(a) if random is None else self.fn(a, random)
        scale = xp.ones(self.granularity.scale_shape(tuple(a.shape)), dtype=a.dtype, device=a.device)
        return values, QParams(scale)

    def probe(self, a: Array, qparams: QParams) -> Array:
        """The largest magnitude of ``a``, which is non-finite if ``a`` holds NaN or Inf."""
        xp = array_namespace(a)
        return xp.max(xp.abs(a))

    def choose_qparams(self, a: Array) -> QParams:
        """Raise TypeError: a function has no scale."""
        raise TypeError(f"{self} is a function, without scales and codes: write a Quantizer where these are needed")

    def quantize(self, blocks: Array, qparams: QParams, *, random: Array | None = None) -> Array:
        """Raise TypeError: a function has no codes."""
        self.choose_qparams(blocks)
        raise AssertionError  # pragma: no cover


@dataclass(frozen=True)
class _Given:
    """A constant that is the same for every d."""

    value: float

    def __call__(self, d: int) -> float:
        return self.value if need_dimension(d) else 0.0


@dataclass(frozen=True)
class _Root:
    """kappa(d) = √(c(d)·d)."""

    c: Any

    def __call__(self, d: int) -> float:
        return math.sqrt(self.c(d) * d)


@dataclass(frozen=True)
class _Square:
    """c(d) = d·kappa(d)²."""

    kappa: Any

    def __call__(self, d: int) -> float:
        return float(d * self.kappa(d) ** 2)


def _of_d(name: str, given: Any) -> Callable[[int], float] | None:
    if given is None or callable(given):
        return given
    return _Given(float(number(f"Custom: {name}", given)))
