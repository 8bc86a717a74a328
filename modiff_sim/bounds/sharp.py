"""The sharp bounds: triangle inequality, one recursion per norm."""

from __future__ import annotations

import math

import numpy as np

from ..arguments import reals
from ..typing import ArrayLike
from ._common import checked, unroll


def sharp_open_loop(d: ArrayLike, c: float, *, gain: float = 1.0, start: ArrayLike = 0.0) -> np.ndarray:
    """Sharp bound of the open loop in the 2-norm: **linear**, the sum of all steps' errors.

        ||o - õ|| <= ||A|| [q Σ_k ||d_k|| + start],  q = sqrt(c)

    Parameters
    ----------
    d : array_like of float, shape (n,) or (n, trials)
        Norms of the differences in sampling order, finite and >= 0.
    c : float
        Contraction of the quantizer in the squared 2-norm, >= 0.
    gain : float, default 1.0
        ||A||, the spectral norm of the operator.
    start : float or array_like, default 0.0
        Norm of the error of an inexact start, one number or one per trial; 0 is the exact start.

    Returns
    -------
    numpy.ndarray
        The bound on the norm of the output error after each difference, shape of ``d``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    The error of an inexact start stays as it is, because no later step looks at it again.

    Tight: collinear differences and the scalar quantizer Q(x) = (1-q)x attain the bound at every step.

    References
    ----------
    docs/theory.md, section 2.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.sharp_open_loop([1.0, 1.0, 1.0], c=0.25)
    array([0.5, 1. , 1.5])
    """
    d = checked(d, c, start=start, gain=gain)
    return np.asarray(gain * (math.sqrt(c) * np.cumsum(d, axis=0) + reals("start", start)))


def sharp_closed_loop(d: ArrayLike, c: float, *, gain: float = 1.0, start: ArrayLike = 0.0) -> np.ndarray:
    """Sharp bound of the closed loop in the 2-norm, for every c >= 0; it is bounded in n for every c < 1.

        ||o - ô|| <= ||A|| [Σ_k q^(age+1) ||d_k|| + q^n start],  q = sqrt(c)

    Parameters
    ----------
    d : array_like of float, shape (n,) or (n, trials)
        Norms of the differences in sampling order, finite and >= 0.
    c : float
        Contraction of the quantizer in the squared 2-norm, >= 0.
    gain : float, default 1.0
        ||A||, the spectral norm of the operator.
    start : float or array_like, default 0.0
        Norm of the error of an inexact start, one number or one per trial; 0 is the exact start.

    Returns
    -------
    numpy.ndarray
        The bound on the norm of the output error after each difference, shape of ``d``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    Proof: e_j = r - Q(r) with r = d_j + e_{j-1}, so ||e_j|| <= q(||d_j|| + ||e_{j-1}||). For differences of constant
    norm the steady state is q/(1-q)·||d||.

    Tight: collinear differences and the scalar quantizer Q(x) = (1-q)x attain the bound at every step.

    References
    ----------
    docs/theory.md, section 2.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.sharp_closed_loop([1.0, 1.0, 1.0], c=0.25)
    array([0.5  , 0.75 , 0.875])
    """
    d = checked(d, c, start=start, gain=gain)
    q = math.sqrt(c)
    return gain * unroll(q * d, q, start)


def max_norm_open_loop(d_inf: ArrayLike, kappa: float, *, gain: float = 1.0, start: ArrayLike = 0.0) -> np.ndarray:
    """Sharp bound of the open loop in the max norm.

        ||o - õ||_inf <= ||A||_{inf→inf} [kappa Σ_k ||d_k||_inf + start]

    Parameters
    ----------
    d_inf : array_like of float, shape (n,) or (n, trials)
        Max norms of the differences in sampling order, finite and >= 0.
    kappa : float
        Contraction of the quantizer in the max norm, >= 0.
    gain : float, default 1.0
        ||A||_{inf→inf}, the largest absolute row sum of the operator.
    start : float or array_like, default 0.0
        Norm of the error of an inexact start, one number or one per trial; 0 is the exact start.

    Returns
    -------
    numpy.ndarray
        The bound on the max norm of the output error after each difference, shape of ``d_inf``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    References
    ----------
    docs/theory.md, section 2.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> ms.bounds.max_norm_open_loop([1.0, 1.0], kappa=ms.AbsMax(4).kappa(64)).round(4)
    array([0.0714, 0.1429])
    """
    d = checked(d_inf, kappa, "kappa", start, gain)
    return np.asarray(gain * (kappa * np.cumsum(d, axis=0) + reals("start", start)))


def max_norm_closed_loop(d_inf: ArrayLike, kappa: float, *, gain: float = 1.0, start: ArrayLike = 0.0) -> np.ndarray:
    """Sharp bound of the closed loop in the max norm; neither the dimension nor a tail enters it.

        ||o - ô||_inf <= ||A||_{inf→inf} [Σ_k kappa^(age+1) ||d_k||_inf + kappa^n start]

    Parameters
    ----------
    d_inf : array_like of float, shape (n,) or (n, trials)
        Max norms of the differences in sampling order, finite and >= 0.
    kappa : float
        Contraction of the quantizer in the max norm, >= 0.
    gain : float, default 1.0
        ||A||_{inf→inf}, the largest absolute row sum of the operator.
    start : float or array_like, default 0.0
        Norm of the error of an inexact start, one number or one per trial; 0 is the exact start.

    Returns
    -------
    numpy.ndarray
        The bound on the max norm of the output error after each difference, shape of ``d_inf``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Notes
    -----
    The bound holds for every number of bits b >= 2. AbsMax attains it at every step: with d = 2 entries exactly where
    the bound E_j of ||e_j|| never exceeds ||d_j|| (``processes.alternating``: differences of one size); with d entries
    as long as it does not exceed the sum of the last d-1 differences, and so with n+1 entries for every n differences.

    References
    ----------
    docs/theory.md, section 2.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.max_norm_closed_loop([1.0, 1.0, 0.0], kappa=0.5)
    array([0.5  , 0.75 , 0.375])
    """
    d = checked(d_inf, kappa, "kappa", start, gain)
    return gain * unroll(kappa * d, kappa, start)


def direct(a: ArrayLike, contraction: float, *, gain: float = 1.0) -> np.ndarray:
    """Bound of direct quantization, which has no history: ||o - A(Q(a))|| <= ||A|| sqrt(c)||a||.

    Parameters
    ----------
    a : array_like of float, shape (n,) or (n, trials)
        Norms of the inputs, finite and >= 0.
    contraction : float
        c for 2-norms; for max norms pass kappa².
    gain : float, default 1.0
        ||A|| in the norm of the statement.

    Returns
    -------
    numpy.ndarray
        The bound on the norm of the output error at each call, shape of ``a``.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If ``d`` is empty, or if a norm or a constant is negative, infinite or NaN.

    Examples
    --------
    >>> from modiff_sim import bounds
    >>> bounds.direct([10.0, 12.0], contraction=0.25)
    array([5., 6.])
    """
    a = checked(a, contraction, "contraction", gain=gain)
    return gain * math.sqrt(contraction) * a
