"""The semidefinite programs of ``bounds.certificates``: their vectors, the error of a loop, and the solver.

PEPit keeps its problem in class attributes: a PEP of the caller's own is lost when a program is made.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

#: the largest relative gap between the two ends of a certificate, and the largest relative violation of any constraint
TOLERANCE = 1e-4


class CertificateError(RuntimeError):
    """The solver failed, or its answer is not accurate enough to be a certificate; the message holds its status."""


def pepit() -> Any:
    """PEPit itself; raises ImportError with the remedy where it is not installed."""
    try:
        import PEPit
    except ImportError as error:
        raise ImportError("certificates need PEPit: pip install 'modiff-sim[theory]'") from error
    return PEPit


class Program:
    """A PEP whose vectors come in units of a bound on their norm, so that entries of the Gram matrix are at most 1.

    A change of units does not change the problem. Without it an impulse that has decayed for ten steps, or an error
    that has grown for ten, would lie beyond the solver's absolute tolerances. Vectors are pairs (PEPit point, bound on
    the norm by the triangle inequality); a vector that can only be 0 gets no point.
    """

    def __init__(self) -> None:
        self.pepit = pepit()
        self.pep = self.pepit.PEP()
        self.known: list[Any] = []  # the constraints on the differences, in sampling order

    @property
    def zero(self) -> tuple[Any, float]:
        """The vector 0."""
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


def plus(*vectors: tuple[Any, float]) -> tuple[Any, float]:
    """The sum of vectors, with the sum of their bounds."""
    return sum((v for v, _ in vectors[1:]), vectors[0][0]), sum(size for _, size in vectors)


def minus(vector: tuple[Any, float]) -> tuple[Any, float]:
    """The negative of a vector."""
    return -vector[0], vector[1]


def error_of(p: Program, loop: str, d: list[list[Any]], q: float, gains: tuple[float, ...], start: Any) -> Any:
    """Total error f of the last layer after the last of the differences d[step][layer]; see ``bounds.chain``."""
    layers = len(gains) + 1
    f = [start] + [p.zero] * (layers - 1)
    lost = list(f)  # open loop: the sum of all steps' errors
    before = [p.zero] * layers
    for row in d:
        for layer, difference in enumerate(row):
            passed = p.within(f[layer - 1], gains[layer - 1]) if layer else p.zero
            if loop == "closed":
                r = plus(difference, f[layer], minus(passed))
                f[layer] = plus(passed, p.within(r, q))
            else:
                r = plus(difference, minus(passed), before[layer])
                lost[layer] = plus(lost[layer], p.within(r, q))
                f[layer] = plus(passed, lost[layer])
                before[layer] = passed
    return f[-1]


@contextlib.contextmanager
def extremes() -> Iterator[None]:
    """Turn overflowing or vanishing squares of the sizes into an error that says so."""
    try:
        yield
    except (OverflowError, ZeroDivisionError):
        raise CertificateError(
            "squares of these norms overflow or underflow: change the units, so that the differences are near 1"
        ) from None


def solve(p: Program, solver: str, options: dict[str, Any]) -> tuple[str, str, float, float, float]:
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


def check_solver(solver: str) -> None:
    """Raise ValueError unless CVXPY has this solver for semidefinite programs, ImportError without PEPit."""
    pepit()
    import cvxpy

    known = [s for s in cvxpy.installed_solvers() if s in ("CLARABEL", "SCS", "MOSEK", "CVXOPT", "SDPA", "COPT")]
    if solver not in known:
        raise ValueError(f"unknown solver {solver!r}; installed for semidefinite programs: {', '.join(known)}")
