"""The base class of quantizers: choose_qparams | quantize | dequantize, the checks of arguments, the declared laws.

A quantizer is a frozen dataclass; ``Q(a)`` returns an array like ``a`` (simulated quantization: values on the grid, in
the dtype of ``a``). Codes are values of the grid in units of the scale, in the dtype of the input: integers for integer
grids, numbers of a float format for the others.

``Q.c(d)`` is the worst-case contraction of the *squared* 2-norm, ||x - Q(x)||² <= c ||x||² for d entries that share a
scale (the paper's (29)). ``Q.kappa(d)`` is that of the max norm, not squared. ``Q.laws`` says whether they are tight.
Any c >= 0 may be declared: Zero has 1, Identity 0, Floor more than 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, ClassVar

from array_api_compat import array_namespace

from ..arguments import namespace
from ..typing import Array
from .granularity import Granularity, PerSample, parse
from .laws import Laws

MAX_BITS = 32


@dataclass(frozen=True)
class QParams:
    """The parameters that one array is quantized with.

    Parameters
    ----------
    scale : array
        In the granularity's scale shape; non-finite where the block holds NaN or Inf.
    zero_point : array, optional
        The code of zero, in the same shape; None for symmetric grids.
    zero_range : array of bool, optional
        True where the raw scale was 0.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> ms.AbsMax(bits=3).choose_qparams(np.array([[6.0, 1.2], [0.0, 0.0]])).scale  # guarded against 0
    array([[2.],
           [1.]])
    """

    scale: Array
    zero_point: Array | None = None
    zero_range: Array | None = None


@dataclass(frozen=True, kw_only=True)
class Quantizer:
    """Base class of quantizers: it checks the arguments, cuts blocks, and has the parts that every affine grid shares.

    A family implements ``choose_qparams`` and ``quantize``, and declares ``laws``, ``c`` and ``kappa``.

    Parameters
    ----------
    bits : int
        Bits b of a code, from the family's ``min_bits`` to 32.
    granularity : Granularity or str, default PerSample()
        Which entries share a scale, or its name, such as "channel" or "group:32".

    Raises
    ------
    TypeError
        If ``bits`` is not an int, or ``granularity`` is not a ``Granularity``.
    ValueError
        If ``bits`` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import modiff_sim as ms
    >>> Q = ms.AbsMax(bits=4, granularity=ms.PerBatch())
    >>> isinstance(Q, ms.Quantizer), Q(np.array([7.0, 2.2]))
    (True, array([7., 2.]))
    """

    laws: ClassVar[Laws]
    min_bits: ClassVar[int] = 1
    saturates: ClassVar[bool] = False
    has_codes: ClassVar[bool] = True  # False where values pass through and do not count as quantized
    fixed_bits: ClassVar[int | None] = None  # set where the format decides the bits
    integer_codes: ClassVar[bool] = True  # False for grids of floats, whose codes are not integers
    scale_from_extremes: ClassVar[bool] = True  # False where the scale needs more of a block than its min and max

    bits: int = field(kw_only=False)
    granularity: Granularity = field(default_factory=PerSample)

    def __post_init__(self) -> None:
        name = type(self).__name__
        if isinstance(self.bits, bool) or not isinstance(self.bits, Integral):
            raise TypeError(f"{name}: bits must be an int, got {self.bits!r}")
        object.__setattr__(self, "bits", int(self.bits))
        if not self.min_bits <= self.bits <= MAX_BITS:
            hint = " (0 bits is Zero())" if self.bits == 0 else ""
            raise ValueError(f"{name} needs {self.min_bits} <= bits <= {MAX_BITS}, got {self.bits}{hint}")
        if self.fixed_bits is not None and self.bits != self.fixed_bits:
            raise ValueError(f"{name} has {self.fixed_bits} bits, got {self.bits}")
        if isinstance(self.granularity, str):
            object.__setattr__(self, "granularity", parse(self.granularity))
        if not isinstance(self.granularity, Granularity):
            raise TypeError(f"{name}: granularity must be one such as PerSample(), got {self.granularity!r}")

    # -- the three steps ------------------------------------------------------------------------------------------
    def choose_qparams(self, a: Array) -> QParams:
        """Scale (and zero point) of the array, by a reduction over each block and nothing else."""
        raise NotImplementedError  # pragma: no cover - abstract

    def quantize(self, blocks: Array, qparams: QParams, *, random: Array | None = None) -> Array:
        """Codes of a blocked array."""
        raise NotImplementedError  # pragma: no cover - abstract

    def dequantize(self, codes: Array, qparams: QParams) -> Array:
        """Values of the codes: scale·(code - zero point)."""
        return qparams.scale * (codes if qparams.zero_point is None else codes - qparams.zero_point)

    # -- together ---------------------------------------------------------------------------------------------------
    def blocks(self, xp: Any, a: Array) -> tuple[Array, tuple[int, ...]]:
        """The array in the granularity's blocked shape, and the axes that share a scale."""
        shape, axes = self.granularity.blocked(tuple(a.shape))
        return (a if shape == tuple(a.shape) else xp.reshape(a, shape)), axes

    def check(self, a: Array) -> None:
        """Raise unless ``a`` is a non-empty array of real floats that fits granularity and bits."""
        xp = namespace(str(self), a)
        require_floating(xp, a, str(self))
        self.granularity.blocked(tuple(a.shape))
        if type(self).has_codes and 2.0**self.bits > float(xp.finfo(a.dtype).max):
            raise ValueError(f"{self}: {a.dtype} cannot hold codes of {self.bits} bits: use fewer bits or float32")

    def apply(self, a: Array, *, random: Array | None = None) -> tuple[Array, QParams]:
        """Return Q(a) and the parameters used, without a check on values: callers look at ``qparams`` (see
        ``probe``).
        """
        xp = array_namespace(a)
        blocks, _ = self.blocks(xp, a)
        qparams = self.choose_qparams(a)
        bits = None if random is None else xp.reshape(random, blocks.shape)
        values = self.dequantize(self.quantize(blocks, qparams, random=bits), qparams)
        return (values if values.shape == a.shape else xp.reshape(values, a.shape)), qparams

    @property
    def reach(self) -> float:
        """The largest distance between zero and a value of the grid, in scales."""
        return 1

    @property
    def limits(self) -> tuple[float, float]:
        """Entries below or above these, in scales, are clipped; they are finite where the class ``saturates``."""
        return -math.inf, math.inf

    def clipped(self, a: Array, qparams: QParams) -> Array:
        """Per entry of the blocked array: whether it lies beyond ``limits``."""
        blocks, _ = self.blocks(array_namespace(a), a)
        steps, (low, high) = blocks / qparams.scale, self.limits
        return (steps < low) | (steps > high)

    def in_domain(self, a: Array) -> Array:
        """Per block, in the scale's shape: whether ``laws``, ``c`` and ``kappa`` hold for it.

        Here every block counts. Blocks with a subnormal scale are not told apart, although the laws do not cover them
        (see ``laws``): AbsMax(4) loses all of (5e-324, 0), where kappa is 1/14.
        """
        xp = array_namespace(a)
        return xp.ones(self.granularity.scale_shape(tuple(a.shape)), dtype=xp.bool, device=a.device)

    def probe(self, a: Array, qparams: QParams) -> Array:
        """A small array that is non-finite if ``a`` holds NaN or Inf, or if the grid's end overflows the dtype."""
        return qparams.scale * self.reach

    def __call__(self, a: Array, *, random: Array | None = None) -> Array:
        """Quantize and dequantize.

        Parameters
        ----------
        a : array of float
            Any array of the array API, not empty, that fits the granularity.
        random : array of float, optional
            Uniform in [0, 1), of a's shape; for randomised quantizers only.

        Returns
        -------
        array
            Values on the grid, in the shape and dtype of ``a``.

        Raises
        ------
        TypeError
            For a non-floating array.
        ValueError
            For an empty array, NaN, Inf, or missing random bits.
        """
        self.check(a)
        xp = array_namespace(a)
        if self.laws.randomised and random is None:
            raise ValueError(f"{self} draws no random numbers of its own: pass random=, uniform in [0, 1), like a")
        if random is not None:
            check_random(random, a, str(self))
        values, qparams = self.apply(a, random=random)
        if not bool(xp.all(xp.isfinite(self.probe(a, qparams)))):
            raise ValueError(not_finite(xp, a, str(self)))
        check_like(values, a, f"what {self} returns")
        if not bool(xp.all(xp.isfinite(values))):
            raise ValueError(returned_not_finite(xp, a, self))
        return values

    # -- declared worst cases ------------------------------------------------------------------------------------------
    def c(self, d: int) -> float:
        """Declared c for d entries that share a scale; d >= 1."""
        raise NotImplementedError  # pragma: no cover - abstract

    def kappa(self, d: int) -> float:
        """Declared kappa for d entries that share a scale; d >= 1."""
        raise NotImplementedError  # pragma: no cover - abstract


def as_made(what: Any) -> bool:
    """Whether no attribute of this instance hides a method of its class: fast paths know the class alone."""
    return not any(hasattr(type(what), name) and callable(getattr(type(what), name)) for name in vars(what))


def require_floating(xp: Any, a: Array, who: str) -> None:
    """Raise unless ``a`` is a non-empty array of real floats."""
    if not xp.isdtype(a.dtype, "real floating"):
        raise TypeError(f"{who} takes an array of real floats, got {a.dtype}: convert it first (astype)")
    if math.prod(a.shape) == 0:
        raise ValueError(f"{who} got an empty array of shape {tuple(a.shape)}: there is nothing to take a scale of")


def check_like(values: Array, a: Array, who: str) -> None:
    """Raise unless ``values`` is a plain array of the shape and dtype of ``a``, in its library."""
    xp = namespace(who, values)
    kind, own = (getattr(x.dtype, "type", x.dtype) for x in (values, a))  # NumPy's type, whatever its byte order
    if tuple(values.shape) != tuple(a.shape) or kind != own or xp is not array_namespace(a):
        raise ValueError(
            f"{who} must have shape {tuple(a.shape)} and {a.dtype}, got shape {tuple(values.shape)} and {values.dtype}"
        )


def check_random(random: Array, a: Array, who: str) -> None:
    """Raise unless ``random`` holds a number in [0, 1) for every entry of ``a``."""
    xp = namespace(f"{who}: random=", random)
    require_floating(xp, random, f"{who}: random=")
    if tuple(random.shape) != tuple(a.shape):
        raise ValueError(f"{who}: random= has shape {tuple(random.shape)}, what is quantized {tuple(a.shape)}")
    if not bool(xp.all((random >= 0) & (random < 1))):
        raise ValueError(f"{who}: random= must be uniform in [0, 1), and holds other numbers or NaN")


def returned_not_finite(xp: Any, a: Array, Q: Quantizer) -> str:
    """The message for a finite array of which a quantizer, one of the user's own, has made NaN or Inf."""
    blocks, axes = Q.blocks(xp, a)
    zeros = bool(xp.any(xp.all(blocks == 0, axis=axes)))
    hint = ": some entries that share a scale are all 0, where 0/0 is NaN; give zeros back for them" if zeros else ""
    return f"what {Q} returns holds NaN or Inf, for an input that is finite{hint}"


def not_finite(xp: Any, a: Array, who: str) -> str:
    """The message for an array whose scale is not finite (computed only once that is known)."""
    bad = int(xp.sum(xp.astype(~xp.isfinite(a), xp.int64)))
    finite = xp.where(xp.isfinite(a), a, xp.zeros_like(a))
    low, high = float(xp.min(finite)), float(xp.max(finite))
    what = f"{bad} of {math.prod(a.shape)} entries are NaN or Inf" if bad else "its range overflows the dtype"
    return (
        f"{who}: the input is not finite: {what}; finite entries span [{low:.4g}, {high:.4g}], shape {tuple(a.shape)}"
    )
