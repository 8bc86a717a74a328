"""A quantizer of a plain function, for trying an idea before a family is written for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from inspect import signature
from typing import Any

from array_api_compat import array_namespace

from ..arguments import namespace, number
from ..typing import Array
from .base import QParams, Quantizer, require_floating
from .granularity import PerSample, name
from .laws import Laws
from .worst_case import need_dimension

Constant = float | Callable[[int], float]
NOTHING = Laws()


@dataclass(frozen=True, kw_only=True, repr=False)
class Custom(Quantizer):
    """Quantizer that does what a function does, with the constants that you declare for it.

    It runs wherever a quantizer runs, by its function alone: fast paths decline it. ``testing.check_quantizer`` tries
    to refute what is declared.

    A function of two arguments is randomised: the second one are its random bits, and what it gives is decided by the
    two of them. Its c bounds the mean over the bits, and its kappa holds for all of them.

    Parameters
    ----------
    fn : callable
        Array of float -> array of the same shape and dtype; axis 0 is the sample. If it is randomised, it is called
        with a second array, uniform in [0, 1), of the same shape. It must not write into its arguments.
    kappa : float or callable, optional
        ||x - Q(x)||_inf <= kappa ||x||_inf, as a number or a function of d. By default √(c·d), which follows from c;
        for a randomised function none, since nothing about single outcomes follows from a mean: kappa(d) is infinite.
    c : float or callable, optional
        ||x - Q(x)||² <= c ||x||², as a number or a function of d; for a randomised function E||x - Q(x)||² <= c ||x||².
        By default d·kappa², which follows from kappa.
    bits : int, default 32
        How many bits costs are counted with.
    granularity : Granularity or str, default PerSample()
        Which entries the constants are about.
    laws : Laws, default Laws()
        What else is declared, and tested as well: for example ``Laws(unbiased=True)``, with which ``simulate`` knows
        the smaller bounds of unbiased rounding. ``randomised`` need not be said where the function takes two arguments.

    Raises
    ------
    TypeError
        If ``fn`` is not a function or takes another number of arguments, or a constant is neither a number nor a
        function.
    ValueError
        If neither constant is given, a number is negative or NaN, or ``laws`` has an ``error``, which is in units of a
        scale.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> from modiff_sim.testing import check_quantizer
    >>> def halves(x):
    ...     largest = abs(x).max(axis=1, keepdims=True)
    ...     return np.where(largest > 0, np.round(2 * x / np.where(largest > 0, largest, 1)) / 2 * largest, 0)
    >>> Q = ms.Custom(halves, kappa=1 / 4, bits=3)
    >>> Q
    Custom(halves, c=d·kappa², kappa=0.25, bits=3)
    >>> Q(np.array([[4.0, 1.2, -0.4]]))
    array([[ 4.,  2., -0.]])
    >>> Q.kappa(64), Q.c(64), check_quantizer(Q, examples=5)
    (0.25, 4.0, ['c', 'kappa'])

    A randomised one keeps an entry with probability 1/4, and then makes it four times as large, so that the mean is
    right. Its error is 3x or -x, whose mean square is 3x²:

    >>> def sparse(x, u):
    ...     return np.where(u < 1 / 4, 4 * x, 0)
    >>> Q = ms.Custom(sparse, c=3, laws=ms.Laws(unbiased=True))
    >>> Q
    Custom(sparse, c=3, kappa=none, bits=32, unbiased, randomised)
    >>> Q(np.array([[1.0, 2.0]]), random=np.array([[0.1, 0.6]]))
    array([[4., 0.]])
    >>> check_quantizer(Q, examples=5)
    ['c', 'unbiased']
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
        object.__setattr__(self, "laws", replace(self.laws, randomised=_is_randomised(self)))
        if self.laws.error is not None:
            raise ValueError(f"{self}: Laws(error=...) is in units of a scale, which a function has not: declare kappa")
        if self.kappa is None and self.c is None:
            follows = "c" if self.laws.randomised else "kappa or c, from which the other follows"
            raise ValueError(f"{self}: declare {follows}; 1 says that nothing is gained")
        kappa, c = (
            None if each is None else _of_d(name, each) for name, each in (("kappa", self.kappa), ("c", self.c))
        )
        # ||e||_inf <= ||e||_2 and ||x||_2 <= √d ||x||_inf, and so for e and x exchanged. A mean of ||e||² says nothing
        # of a single ||e||_inf.
        object.__setattr__(self, "kappa", kappa or (_None() if self.laws.randomised else _Root(c)))
        object.__setattr__(self, "c", c or _Square(kappa))

    def __str__(self) -> str:
        return f"Custom({_called(self.fn)})"

    def __repr__(self) -> str:
        said = [_called(self.fn), f"c={_said(self.c)}", f"kappa={_said(self.kappa)}", f"bits={self.bits}"]
        if self.granularity != PerSample():
            said.append(f"granularity={name(self.granularity)}")
        return f"Custom({', '.join(said + [law.name for law in fields(Laws) if getattr(self.laws, law.name) is True])})"

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

    def __str__(self) -> str:
        return f"{self.value:.4g}"


@dataclass(frozen=True)
class _Root:
    """kappa(d) = √(c(d)·d)."""

    c: Any

    def __call__(self, d: int) -> float:
        return math.sqrt(self.c(d) * d)

    def __str__(self) -> str:
        return "√(c·d)"


@dataclass(frozen=True)
class _Square:
    """c(d) = d·kappa(d)²."""

    kappa: Any

    def __call__(self, d: int) -> float:
        return float(d * self.kappa(d) ** 2)

    def __str__(self) -> str:
        return "d·kappa²"


@dataclass(frozen=True)
class _None:
    """No constant: nothing is promised."""

    def __call__(self, d: int) -> float:
        return math.inf if need_dimension(d) else 0.0

    def __str__(self) -> str:
        return "none"


def _of_d(name: str, given: Any) -> Callable[[int], float] | None:
    if given is None or callable(given):
        return given
    return _Given(float(number(f"Custom: {name}", given)))


def _said(constant: Any) -> str:
    """Return a constant in words."""
    return str(constant) if isinstance(constant, _Given | _Root | _Square | _None) else f"{_called(constant)}(d)"


def _called(fn: Any) -> str:
    """Return the name of a function, without that of the function which it was defined in."""
    return str(getattr(fn, "__qualname__", type(fn).__name__)).rpartition("<locals>.")[2]


def _is_randomised(Q: Custom) -> bool:
    """Return whether the function takes random bits, once it can be called as it will be."""
    one, two = (_takes(Q.fn, n) for n in (1, 2))
    if not one and not two:
        raise TypeError(f"{Q}: the function takes one argument, the array, or two, the array and random bits like it")
    if Q.laws.randomised and not two:
        raise TypeError(
            f"{Q}: laws say randomised, but the function takes one argument: the second are the random bits, uniform "
            "in [0, 1), like the array"
        )
    return Q.laws.randomised or not one


def _takes(fn: Callable[..., Any], many: int) -> bool:
    """Return whether a function can be called with so many arguments; yes where it does not say."""
    try:
        called = signature(fn)
    except (TypeError, ValueError):  # some functions in C have no signature
        return True
    try:
        called.bind(*[None] * many)
    except TypeError:
        return False
    return True
