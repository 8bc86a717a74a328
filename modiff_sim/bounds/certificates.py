"""Exact worst cases over *all* contractive quantizers, by semidefinite programming (PEPit; extra ``[theory]``).

The class: maps Q with ||x - Q(x)||² <= c ||x||² for every x, in any dimension. What a quantizer loses of its inputs,
e = x - Q(x), enters the error of a loop linearly, and the class constrains x and e through their scalar products only.
So the largest error after n differences of given norms is a linear function of a Gram matrix G ⪰ 0, to be maximised
under linear constraints: a semidefinite program, without any inequality of ours in between. Its multipliers are a
proof of the upper bound, its matrix is a worst case. One difference, as an example: maximise ||e||² subject to
||e||² <= c||d||² and ||d||² <= D²; multipliers 1 and c prove cD², Q(x) = (1-√c)x attains it.

**Nothing is lost by Q being one map for all steps.** Pairs (x_i, e_i) are those of one Q of the class exactly if
||e_i||² <= c||x_i||² for every i and e_i = e_j wherever x_i = x_j (elsewhere let Q(x) = x). The program drops the
second condition, so its value is an upper bound at first sight; but the values found are attained by one linear map,
Q(x) = (1-√c)x, on collinear differences (in a closed-loop chain by Q(x) = (1+√c)x, see ``bounds.chain_closed_loop``).
Nor is anything gained by many dimensions: these maps attain the values in one.

PEPit keeps its problem in class attributes: a PEP of the caller's own is lost when one of these functions is called.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import count, number, reals

#: largest relative gap between the two ends of a certificate, and largest relative violation of any constraint
TOLERANCE = 1e-4
MOST = 50  # differences times layers: about a minute
_ONE_AT_A_TIME = threading.Lock()


class CertificateError(RuntimeError):
    """The solver failed or its answer is not accurate enough to be a certificate; the message holds its status."""


@dataclass(frozen=True)
class Budget:
    """What is known about the differences is their energy: Σ_k weights_k ||d_k||² <= total², sampling order.

    weights: positive, one per difference; None is 1 for each. With the weights of a bound of the form
    error² <= Σ_k w_k ||d_k||² and total = 1, the certificate is the largest error/bound there is.
    """

    total: float = 1.0
    weights: Sequence[float] | np.ndarray | None = None


@dataclass(frozen=True)
class Certificate:
    """The largest norm of the error, and how sure it is.

    value:       upper end, proved by the multipliers; lower: what the worst case that was found attains
    shares:      what part of value each difference is to blame for, ||d_k||/value · ∂value/∂||d_k||, read off the
                 multipliers (to about 1e-5): shape of ``d``, or (1,) for a ``Budget``. Their sum is 1 with an exact
                 start. In the closed loop q^(age+1) ||d_k||/value.
    status, solver: as the solver reports them
    gap:         (value - lower)/value
    residual:    largest violation of any primal or dual constraint, in units in which value² is at most 1
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
    """Worst case of ||a - â|| with error compensation, (13)-(14), after n differences, over all quantizers with this c.

    d:      norms of the differences in sampling order, one for all or n of them, or a ``Budget``.
    start:  norm of the error a_T - â_T of an inexact start.
    solver: any of CVXPY's for semidefinite programs, with its own options. n up to 10 takes 0.2 s, 20 a
            second, 50 a minute; more is refused.

    It is ``bounds.sharp_closed_loop``: Σ_k q^(age+1) ||d_k|| + q^n start, q = √c, for every c >= 0; for a budget
    total·sqrt(Σ_k q^(2(age+1))/w_k) + q^n start, by Cauchy-Schwarz.

    Raises ValueError for a bad argument, CertificateError where the solver fails, ImportError without PEPit.
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
    """The same without compensation, (7): ||a - ã||, where what every step loses stays.

    It is ``bounds.sharp_open_loop``: q Σ_k ||d_k||; for a budget q·total·sqrt(Σ_k 1/w_k), so q·sqrt(n)·total.
    """
    return _certificate("open", n, c, (), d, 0.0, solver, options)


def chain_closed_loop(
    n: int, c: float, gains: Sequence[float], *, d: float | np.ndarray = 1.0, solver: str = "CLARABEL", **options: Any
) -> Certificate:
    """Worst total input error of the *last* layer of a chain, exact start; d: one norm for all, or (n, layers).

    Layer l+1 sees a^{l+1} - η^{l+1} with ||η^{l+1}_t|| <= gains_l ||f^l_t||, f^l the total error of layer l. It is
    ``bounds.chain_closed_loop``, at every length and depth.
    """
    return _certificate("closed", n, c, tuple(gains), d, 0.0, solver, options)


def chain_open_loop(
    n: int, c: float, gains: Sequence[float], *, d: float | np.ndarray = 1.0, solver: str = "CLARABEL", **options: Any
) -> Certificate:
    """The same without compensation. ``bounds.chain_open_loop`` up to two layers; from three on it is *smaller*.

    Here what passes between layers may differ from step to step (any η within the gain), so even this value may not
    be attained by one fixed nonlinearity.
    """
    return _certificate("open", n, c, tuple(gains), d, 0.0, solver, options)


def available() -> bool:
    """Whether PEPit is installed (it is not imported: that takes two seconds)."""
    return importlib.util.find_spec("PEPit") is not None


def _pepit() -> Any:
    try:
        import PEPit
    except ImportError as error:
        raise ImportError("certificates need PEPit: pip install 'modiff-sim[theory]'") from error
    return PEPit


# -- the program ------------------------------------------------------------------------------------------------------


class _Program:
    """A PEP whose vectors come in units of a bound on their norm: entries of the Gram matrix are then at most 1.

    A change of units does not change the problem; without it an impulse that has decayed for ten steps, or an error
    that has grown for ten, would lie beyond the solver's absolute tolerances. Vectors are pairs (PEPit point, bound on
    the norm by the triangle inequality); what can only be 0 is no point at all.
    """

    def __init__(self) -> None:
        self.pepit = _pepit()
        self.pep = self.pepit.PEP()
        self.known: list[Any] = []  # the constraints on the differences, in sampling order

    @property
    def zero(self) -> tuple[Any, float]:
        return self.pepit.null_point, 0.0

    def within(self, of: tuple[Any, float], q: float) -> tuple[Any, float]:
        """A vector v with ||v||² <= q²||of||²: what a quantizer may lose, or a layer of this gain may pass on."""
        unit = q * of[1]
        if unit == 0:
            return self.zero
        u = self.pepit.Point()
        self.pep.add_constraint(u**2 <= (q / unit) ** 2 * of[0] ** 2)
        return unit * u, unit

    def ball(self, radius: float, *, known: bool = True) -> tuple[Any, float]:
        """A vector of at most this norm; known: it is a difference."""
        if radius == 0:
            return self.zero
        u = self.pepit.Point()
        self.pep.add_constraint(constraint := u**2 <= 1)
        self.known += [constraint] * known
        return radius * u, radius

    def ellipsoid(self, radii: np.ndarray) -> list[list[tuple[Any, float]]]:
        """Differences v_k with Σ_k ||v_k||²/radii_k² <= 1, radii (n, 1)."""
        points = [[self.pepit.Point() for _ in row] for row in radii]
        self.pep.add_constraint(constraint := sum(u**2 for row in points for u in row) <= 1)
        self.known.append(constraint)
        return [
            [(float(r) * u, float(r)) for r, u in zip(*both, strict=True)] for both in zip(radii, points, strict=True)
        ]


def _plus(*vectors: tuple[Any, float]) -> tuple[Any, float]:
    return sum((v for v, _ in vectors[1:]), vectors[0][0]), sum(size for _, size in vectors)


def _minus(vector: tuple[Any, float]) -> tuple[Any, float]:
    return -vector[0], vector[1]


def _error(p: _Program, loop: str, d: list[list[Any]], q: float, gains: tuple[float, ...], start: Any) -> Any:
    """Total error f of the last layer after the last of the differences d[step][layer]; see ``bounds.chain``."""
    layers = len(gains) + 1
    f = [start] + [p.zero] * (layers - 1)
    lost = list(f)  # open loop: the sum of all steps' errors
    before = [p.zero] * layers
    for row in d:
        for layer, difference in enumerate(row):
            passed = p.within(f[layer - 1], gains[layer - 1]) if layer else p.zero
            if loop == "closed":
                r = _plus(difference, f[layer], _minus(passed))
                f[layer] = _plus(passed, p.within(r, q))
            else:
                r = _plus(difference, _minus(passed), before[layer])
                lost[layer] = _plus(lost[layer], p.within(r, q))
                f[layer] = _plus(passed, lost[layer])
                before[layer] = passed
    return f[-1]


def _certificate(
    loop: str, n: int, c: float, gains: tuple[float, ...], d: Any, start: float, solver: str, options: Any
) -> Certificate:
    _check(n, c, gains, start)
    budget = isinstance(d, Budget)
    sizes = _radii(d, n)[:, None] if budget else _norms(d, n, len(gains) + 1)
    _check_solver(solver)
    with _ONE_AT_A_TIME, _extremes():
        p = _Program()
        differences = p.ellipsoid(sizes) if budget else [[p.ball(float(size)) for size in row] for row in sizes]
        error, unit = _error(p, loop, differences, float(np.sqrt(c)), gains, p.ball(float(start), known=False))
        shares = np.zeros(1 if budget else sizes.shape if gains else n)
        if unit == 0:  # c = 0, or no difference at all: the error of every quantizer of the class is 0
            return Certificate(0.0, 0.0, shares, "trivial", "none", 0.0, 0.0)
        p.pep.set_performance_metric(error**2 / unit**2)
        status, name, upper, lower, residual = _solve(p, solver, options)
        # value² is homogeneous: a constraint's multiplier is its share of it
        shares[np.ones(1, bool) if budget else sizes.reshape(shares.shape) > 0] = [
            float(constraint.eval_dual()) / upper for constraint in p.known
        ]
    value, attained = unit * float(np.sqrt(upper)), unit * float(np.sqrt(max(lower, 0.0)))
    return Certificate(value, attained, shares, status, name, 1 - attained / value, residual)


@contextlib.contextmanager
def _extremes() -> Iterator[None]:
    """Squares of the sizes that leave the floats, as an error that says so."""
    try:
        yield
    except (OverflowError, ZeroDivisionError):
        raise CertificateError(
            "squares of these norms leave the floats: change the units, so that the differences are near 1"
        ) from None


def _solve(p: _Program, solver: str, options: dict[str, Any]) -> tuple[str, str, float, float, float]:
    """(status, solver, proved upper end, attained lower end, residual) of the scaled problem, or CertificateError."""
    import cvxpy

    # PEPit reports a large gap with print, CVXPY an inaccurate solution with a warning: both are judged below
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            upper = p.pep.solve(wrapper="cvxpy", solver=solver, verbose=0, **options)
        except cvxpy.error.SolverError as error:
            raise CertificateError(f"{solver} failed: {error}") from error
    problem = p.pep.wrapper.prob
    status = str(problem.status)
    if status != "optimal" or upper is None:
        raise CertificateError(f"{solver} ended with status '{status}': no certificate; try another solver= or fewer n")
    lower = float(p.pep.objective.eval())
    eigenvalues = [np.linalg.eigvalsh(0.5 * (m + m.T)).min() for m in (p.pep.G_value, np.asarray(p.pep.residual))]
    constraints = p.pep.list_of_constraints
    violated = [float(k.eval()) for k in constraints] + [-float(k.eval_dual()) for k in constraints]
    residual = max(0.0, *(-float(e) for e in eigenvalues), *violated)
    if not (np.isfinite(upper) and upper > 0 and abs(upper - lower) <= 2 * TOLERANCE * upper and residual <= TOLERANCE):
        raise CertificateError(
            f"{solver} says '{status}', but its bounds {lower:.6g} and {upper:.6g} or its constraints (violated by "
            f"{residual:.2g}) are not accurate to {TOLERANCE:g}: no certificate; try another solver= or fewer n"
        )
    return status, str(p.pep.wrapper.solver_name), float(upper), lower, residual


# -- the door ---------------------------------------------------------------------------------------------------------


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


def _norms(d: Any, n: int, layers: int) -> np.ndarray:
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


def _check_solver(solver: str) -> None:
    _pepit()
    import cvxpy

    known = [s for s in cvxpy.installed_solvers() if s in ("CLARABEL", "SCS", "MOSEK", "CVXOPT", "SDPA", "COPT")]
    if solver not in known:
        raise ValueError(f"unknown solver {solver!r}; installed for semidefinite programs: {', '.join(known)}")
