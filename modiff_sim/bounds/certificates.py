"""Exact worst cases over *all* contractive quantizers, by semidefinite programming (PEPit; extra ``[theory]``).

The class consists of the maps Q with ||x - Q(x)||² <= c ||x||² for every x, in any dimension. What a quantizer loses of
its inputs, e = x - Q(x), enters the error of a loop linearly, and the class constrains x and e through their scalar
products only. So the largest error after n differences of given norms is a linear function of a Gram matrix G ⪰ 0, to
be maximised under linear constraints: a semidefinite program, into which no inequality of ours enters. Its multipliers
are a proof of the upper bound, and its matrix is a worst case. One difference, as an example: maximise ||e||² subject
to ||e||² <= c||d||² and ||d||² <= D²; the multipliers 1 and c prove cD², and Q(x) = (1-√c)x attains it.

**Nothing is lost by Q being one map for all steps.** Pairs (x_i, e_i) are those of one Q of the class exactly if
||e_i||² <= c||x_i||² for every i and e_i = e_j wherever x_i = x_j (elsewhere let Q(x) = x). The program drops the
second condition, so its value is an upper bound at first sight. But one linear map attains the values found: Q(x) =
(1-√c)x, on collinear differences (in a closed-loop chain Q(x) = (1+√c)x, see ``bounds.chain_closed_loop``). Nor is
anything gained by many dimensions: these maps attain the values in one.

PEPit keeps its problem in class attributes: a PEP of the caller's own is lost when one of these functions is called.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import count, number, reals
from ..typing import ArrayLike
from .semidefinite import TOLERANCE as TOLERANCE
from .semidefinite import CertificateError as CertificateError
from .semidefinite import Program, check_solver, error_of, extremes, solve

MOST = 50  # differences times layers: about a minute
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Budget:
    """Differences of which only their energy is known: Σ_k weights_k ||d_k||² <= total², in sampling order.

    With the weights of a bound of the form error² <= Σ_k w_k ||d_k||² and total = 1, the certificate is the largest
    error/bound there is.

    Parameters
    ----------
    total : float, default 1.0
        Root of the energy, > 0.
    weights : sequence of float, optional
        Positive, one per difference; None is 1 for each.

    Examples
    --------
    >>> from modiff_sim import certificates
    >>> certificates.Budget(total=2.0).total
    2.0
    """

    total: float = 1.0
    weights: Sequence[float] | np.ndarray | None = None


@dataclass(frozen=True)
class Certificate:
    """The largest norm of the error, and how sure it is.

    Parameters
    ----------
    value : float
        Upper end, proved by the multipliers.
    lower : float
        What the worst case that was found attains.
    shares : numpy.ndarray
        The part of ``value`` that each difference is to blame for, ||d_k||/value · ∂value/∂||d_k||, read off the
        multipliers (to about 1e-5): shape of ``d``, or (1,) for a ``Budget``. Their sum is 1 with an exact start. In
        the closed loop they are q^(age+1) ||d_k||/value.
    status, solver : str
        As the solver reports them.
    gap, residual : float
        (value - lower)/value, and the largest violation of any constraint, where value² is at most 1.

    Examples
    --------
    >>> from modiff_sim import certificates
    >>> certificates.closed_loop(2, c=0.0)  # every quantizer of the class is exact
    Certificate(value=0.0, lower=0.0, shares=array([0., 0.]), status='trivial', solver='none', gap=0.0, residual=0.0)
    """

    value: float
    lower: float
    shares: np.ndarray
    status: str
    solver: str
    gap: float
    residual: float


def closed_loop(
    n: int,
    c: float,
    *,
    d: float | Sequence[float] | np.ndarray | Budget = 1.0,
    start: float = 0.0,
    solver: str = "CLARABEL",
    **options: Any,
) -> Certificate:
    """Worst case of ||a - â|| with error compensation, (13)-(14), over all quantizers with this c.

    Parameters
    ----------
    n : int
        How many differences. Up to 10 takes 0.2 s, 20 a second, 50 a minute; more is refused.
    c : float
        Contraction in the squared 2-norm, >= 0.
    d : float, array_like of shape (n,) or Budget, default 1.0
        Norms of the differences in sampling order, one for all or n of them, or their energy.
    start : float, default 0.0
        Norm of the error a_T - â_T of an inexact start.
    solver : str, default "CLARABEL"
        Any of CVXPY's for semidefinite programs.
    **options
        The solver's own options.

    Returns
    -------
    Certificate
        The worst case after the last difference.

    Raises
    ------
    TypeError, ValueError
        For an argument of another type or out of range, or an unknown solver.
    CertificateError
        If the solver fails, or if its answer is not accurate enough.
    ImportError
        Without PEPit.

    Notes
    -----
    The value is that of ``bounds.sharp_closed_loop``, Σ_k q^(age+1) ||d_k|| + q^n start, q = √c, for every c >= 0; for
    a budget it is total·sqrt(Σ_k q^(2(age+1))/w_k) + q^n start, by Cauchy-Schwarz.

    Examples
    --------
    >>> from modiff_sim import certificates
    >>> round(certificates.closed_loop(2, c=0.25).value, 4)
    0.75
    """
    return _certificate("closed", n, c, (), d, start, solver, options)


def open_loop(
    n: int,
    c: float,
    *,
    d: float | Sequence[float] | np.ndarray | Budget = 1.0,
    solver: str = "CLARABEL",
    **options: Any,
) -> Certificate:
    """Worst case of ||a - ã|| without compensation, (7), where what every step loses stays.

    Parameters
    ----------
    n : int
        How many differences, as of ``closed_loop``.
    c : float
        Contraction in the squared 2-norm, >= 0.
    d : float, array_like of shape (n,) or Budget, default 1.0
        Norms of the differences in sampling order, one for all or n of them, or their energy.
    solver : str, default "CLARABEL"
        Any of CVXPY's for semidefinite programs.
    **options
        The solver's own options.

    Returns
    -------
    Certificate
        The worst case after the last difference.

    Raises
    ------
    TypeError, ValueError, CertificateError, ImportError
        As ``closed_loop``.

    Notes
    -----
    The value is that of ``bounds.sharp_open_loop``, q Σ_k ||d_k||; for a budget it is q·total·sqrt(Σ_k 1/w_k), so
    q·sqrt(n)·total.

    Examples
    --------
    >>> from modiff_sim import certificates
    >>> round(certificates.open_loop(2, c=0.25).value, 4)
    1.0
    """
    return _certificate("open", n, c, (), d, 0.0, solver, options)


def chain_closed_loop(
    n: int, c: float, gains: Sequence[float], *, d: float | np.ndarray = 1.0, solver: str = "CLARABEL", **options: Any
) -> Certificate:
    """Worst total input error of the *last* layer of a chain of closed loops with an exact start.

    Parameters
    ----------
    n : int
        How many differences; n times the number of layers is at most 50.
    c : float
        Contraction in the squared 2-norm, >= 0.
    gains : sequence of float
        One per layer but the last: layer l+1 sees a^{l+1} - η^{l+1} with ||η^{l+1}_t|| <= gains_l ||f^l_t||, f^l the
        total error of layer l.
    d : float or array_like of shape (n, layers), default 1.0
        Norms of the differences.
    solver : str, default "CLARABEL"
        Any of CVXPY's for semidefinite programs.
    **options
        The solver's own options.

    Returns
    -------
    Certificate
        The worst case after the last difference: that of ``bounds.chain_closed_loop``, at every length and depth.

    Raises
    ------
    TypeError, ValueError, CertificateError, ImportError
        As ``closed_loop``.

    Examples
    --------
    >>> from modiff_sim import certificates
    >>> round(certificates.chain_closed_loop(2, c=0.25, gains=[1.0]).value, 4)
    2.25
    """
    return _certificate("closed", n, c, tuple(gains), d, 0.0, solver, options)


def chain_open_loop(
    n: int, c: float, gains: Sequence[float], *, d: float | np.ndarray = 1.0, solver: str = "CLARABEL", **options: Any
) -> Certificate:
    """Worst total input error of the *last* layer of a chain of open loops.

    Parameters
    ----------
    n : int
        How many differences; n times the number of layers is at most 50.
    c : float
        Contraction in the squared 2-norm, >= 0.
    gains : sequence of float
        One per layer but the last, as of ``chain_closed_loop``.
    d : float or array_like of shape (n, layers), default 1.0
        Norms of the differences.
    solver : str, default "CLARABEL"
        Any of CVXPY's for semidefinite programs.
    **options
        The solver's own options.

    Returns
    -------
    Certificate
        The worst case after the last difference: that of ``bounds.chain_open_loop`` up to two layers, and from three
        layers on a *smaller* one. What passes between layers may differ from step to step here (any η within the gain),
        so that even this value may not be attained by one fixed nonlinearity.

    Raises
    ------
    TypeError, ValueError, CertificateError, ImportError
        As ``closed_loop``.

    Examples
    --------
    >>> from modiff_sim import certificates
    >>> round(certificates.chain_open_loop(2, c=0.25, gains=[1.0]).value, 4)
    3.0
    """
    return _certificate("open", n, c, tuple(gains), d, 0.0, solver, options)


def available() -> bool:
    """Whether PEPit is installed. It is not imported, as that takes two seconds.

    Returns
    -------
    bool
        Whether the functions of this module can be called.

    Examples
    --------
    >>> from modiff_sim import certificates
    >>> known = certificates.available()
    """
    return importlib.util.find_spec("PEPit") is not None


def _certificate(
    loop: str, n: int, c: float, gains: tuple[float, ...], d: Any, start: float, solver: str, options: Any
) -> Certificate:
    _check(n, c, gains, start)
    budget = isinstance(d, Budget)
    sizes = _radii(d, n)[:, None] if budget else _norms(d, n, len(gains) + 1)
    check_solver(solver)
    with _ONE_AT_A_TIME, extremes():
        p = Program()
        differences = p.ellipsoid(sizes) if budget else [[p.ball(float(size)) for size in row] for row in sizes]
        error, unit = error_of(p, loop, differences, float(np.sqrt(c)), gains, p.ball(float(start), known=False))
        shares = np.zeros(1 if budget else sizes.shape if gains else n)
        if unit == 0:  # c = 0, or no difference at all: the error of every quantizer of the class is 0
            return Certificate(0.0, 0.0, shares, "trivial", "none", 0.0, 0.0)
        p.pep.set_performance_metric(error**2 / unit**2)
        status, name, upper, lower, residual = solve(p, solver, options)
        # value² is homogeneous: a constraint's multiplier is its share of it
        shares[np.ones(1, bool) if budget else sizes.reshape(shares.shape) > 0] = [
            float(constraint.eval_dual()) / upper for constraint in p.known
        ]
    value, attained = unit * float(np.sqrt(upper)), unit * float(np.sqrt(max(lower, 0.0)))
    return Certificate(value, attained, shares, status, name, 1 - attained / value, residual)


def _check(n: int, c: float, gains: tuple[float, ...], start: float) -> None:
    count("n, the number of differences,", n)
    number("c", c, what="a ratio of squared norms")
    number("start", start, what="the norm of an error")
    for gain in gains:
        number("gains", gain, what="Lipschitz constants times ||A_l||")
    if n * (len(gains) + 1) > MOST:
        raise ValueError(
            f"n = {n} differences of {len(gains) + 1} layers: a program of (n·layers)² unknowns takes minutes beyond "
            f"{MOST}; modiff_sim.bounds has the value in closed form"
        )


def _norms(d: ArrayLike, n: int, layers: int) -> np.ndarray:
    """The norms as an (n, layers) array."""
    norms = reals("d", d)
    shape = (n,) if layers == 1 else (n, layers)
    if norms.ndim and norms.shape != shape:
        raise ValueError(f"d must be one norm or have shape {shape}, got {norms.shape}")
    if not (np.isfinite(norms).all() and (norms >= 0).all()):
        raise ValueError("d are norms of differences: finite and >= 0")
    return np.broadcast_to(norms, shape).reshape(n, layers)


def _radii(budget: Budget, n: int) -> np.ndarray:
    """total/sqrt(w_k): how large each difference could be on its own."""
    weights = np.ones(n) if budget.weights is None else reals("a budget's weights", budget.weights)
    if weights.shape != (n,) or not (np.isfinite(weights).all() and (weights > 0).all()):
        raise ValueError(f"a budget needs {n} finite weights > 0 (with 0 the worst case is infinite), got {weights}")
    return number("a budget's total", budget.total, above=0) / np.sqrt(weights)
