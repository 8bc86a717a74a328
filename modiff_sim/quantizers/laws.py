"""What a quantizer declares about itself; ``law_checks`` checks each declaration.

The domain of every law: finite inputs whose scale is a normal float (subnormals break it), bits in the quantizer's
range. All comparisons in floats allow ``SLACK * eps * max|x|``: scale, quotient and product round once each, the zero
point's product once more, which is 4 roundings of numbers no larger than 2·max|x|, hence 8 (16 leaves a factor of 2).

Tightness: ``c`` and ``kappa`` are "tight" (a worst-case input attains them, or comes arbitrarily near) or "upper".
For a randomised quantizer c is on the *expectation* of the squared norm, and kappa holds for all random bits. An
infinite constant promises nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from numbers import Real

SLACK = 16
SIGMAS = 4.0  # standard errors by which a mean over random bits has to exceed a limit: chance does in 1 of 30,000 cases
TIGHTNESS = ("tight", "upper")


@dataclass(frozen=True)
class Laws:
    """What a quantizer declares about itself; ``Laws()`` declares nothing.

    ``Quantizer.in_domain`` says for which blocks the laws hold, and the quantizer's methods ``c(d)`` and ``kappa(d)``
    give the constants.

    Parameters
    ----------
    error : float, optional
        r in |x - Q(x)| <= r·scale; None where there is no such bound, as where entries are clipped.
    c, kappa : {"tight", "upper"}, default "upper"
        Whether the constant is attained or approached, or an upper bound.
    idempotent : bool, default False
        Q(Q(x)) = Q(x).
    sign_equivariant : bool, default False
        Q(-x) = -Q(x).
    scale_equivariant : bool, default False
        Q(2^k x) = 2^k Q(x).
    zero_to_zero : bool, default False
        A zero stays zero.
    unbiased : bool, default False
        E Q(x) = x.
    randomised : bool, default False
        Whether the quantizer takes random bits.

    Raises
    ------
    ValueError
        For any other value.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.AbsMax.laws.error, ms.AbsMax.laws.c
    (0.5, 'tight')
    >>> ms.Laws(randomised=True).zero_to_zero
    False
    """

    error: float | None = None
    c: str = "upper"
    kappa: str = "upper"
    idempotent: bool = False
    sign_equivariant: bool = False
    scale_equivariant: bool = False  # Q(2^k x) = 2^k Q(x)
    zero_to_zero: bool = False
    unbiased: bool = False
    randomised: bool = False

    def __post_init__(self) -> None:
        r = self.error
        if r is not None and not (isinstance(r, Real) and not isinstance(r, bool) and 0 <= r < math.inf):
            raise ValueError(f"Laws: error is a number r >= 0, |x - Q(x)| <= r·scale, or None without one; got {r!r}")
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            allowed = TIGHTNESS if field.name in ("c", "kappa") else (True, False)
            if not any(value is a or (isinstance(a, str) and value == a) for a in allowed):
                raise ValueError(f"Laws: {field.name} must be {' or '.join(map(repr, allowed))}, got {value!r}")


class LawBroken(AssertionError):
    """A declared law has a counter-example; the message holds it.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> issubclass(ms.LawBroken, AssertionError)
    True
    """


#: what rounding to the nearest number of a symmetric grid declares, where the grid scales with its input; each class
#: says its error
NEAREST = Laws(
    c="tight", kappa="tight", idempotent=True, sign_equivariant=True, scale_equivariant=True, zero_to_zero=True
)
