"""Certificates: equal to closed forms, to a second formulation of the same program, and to what a run attains; never a
number where the solver has none."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import figures
import paper_checks
from modiff_sim import Verdict, bounds, certificates
from modiff_sim.bounds import semidefinite
from modiff_sim.bounds.certificates import Budget, CertificateError, closed_loop, open_loop
from modiff_sim.evidence import judge
from modiff_sim.plot import style
from paper_checks import _shared

CLOSE = {"rel": 1e-6}  # the solver stops at 1e-8 of value²
PROFILES = ([1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.1, 30.0, 2.0, 7.0])


# -- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("c", [1e-3, 0.3, 1.0, 2.5])
def test_one_difference_is_done_by_hand(c):
    """max ||e||² subject to ||e||² <= c||d + e_T||², ||d|| <= D, ||e_T|| <= E: (√c (D + E))²."""
    assert closed_loop(1, c, d=3.0).value == pytest.approx(3 * np.sqrt(c), **CLOSE)
    assert open_loop(1, c, d=3.0).value == pytest.approx(3 * np.sqrt(c), **CLOSE)
    assert closed_loop(1, c, d=3.0, start=2.0).value == pytest.approx(5 * np.sqrt(c), **CLOSE)
    assert closed_loop(1, c, d=Budget(3.0, [4.0])).value == pytest.approx(1.5 * np.sqrt(c), **CLOSE)


@settings(max_examples=12)
@given(
    c=st.sampled_from([1e-4, 0.05, 0.5, 0.9, 1.0, 2.0, 51.0]),
    d=st.lists(st.one_of(st.just(0.0), st.floats(1e-4, 1e4)), min_size=1, max_size=5),
    start=st.sampled_from([0.0, 0.5, 100.0]),
)
def test_the_sharp_bounds_are_exact(c, d, start):
    if max(d) == start == 0:
        return
    n = len(d)
    found = closed_loop(n, c, d=d, start=start)
    assert found.value == pytest.approx(bounds.sharp_closed_loop(d, c, start=start)[-1], **CLOSE)
    q, age = np.sqrt(c), np.arange(n)[::-1]
    np.testing.assert_allclose(found.shares, q ** (age + 1) * d / found.value, atol=1e-4)
    assert open_loop(n, c, d=d).value == pytest.approx(bounds.sharp_open_loop(d, c)[-1], **CLOSE)


@settings(max_examples=10)
@given(
    c=st.sampled_from([0.01, 0.5, 2.0]),
    weights=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5),
    total=st.floats(0.01, 100),
    start=st.sampled_from([0.0, 3.0]),
)
def test_an_energy_budget_is_spent_by_cauchy_schwarz(c, weights, total, start):
    n, w, q = len(weights), np.array(weights), np.sqrt(c)
    age = np.arange(n)[::-1]
    spent = total * np.sqrt(np.sum(q ** (2 * age + 2) / w))
    found = closed_loop(n, c, d=Budget(total, weights), start=start)
    assert found.value == pytest.approx(spent + q**n * start, **CLOSE)
    np.testing.assert_allclose(found.shares, [spent / found.value], atol=1e-4)
    assert open_loop(n, c, d=Budget(total, weights)).value == pytest.approx(q * total * np.sqrt(np.sum(1 / w)), **CLOSE)


def test_ten_differences():
    assert closed_loop(10, 0.4).value == pytest.approx(bounds.sharp_closed_loop(np.ones(10), 0.4)[-1], **CLOSE)
    assert open_loop(10, 0.4, d=Budget()).value == pytest.approx(np.sqrt(0.4 * 10), **CLOSE)


# -- the same program, stated another way -----------------------------------------------------------------------------


def restated(loop, c, d, *, dual):
    """The worst case from a Gram matrix of differences d_j and *outputs* y_j = Q(r_j), in plain CVXPY, unscaled.

    a and â are sums of those; a residual is a difference of sums. ``dual``: the least proved bound instead.
    """
    import cvxpy as cp

    n = len(d)
    basis = np.eye(2 * n)
    a = np.vstack([np.zeros(2 * n), np.cumsum(basis[:n], axis=0)])
    a_hat = np.vstack([np.zeros(2 * n), np.cumsum(basis[n:], axis=0)])
    quadratic = []
    for j in range(1, n + 1):
        r = a[j] - (a_hat if loop == "closed" else a)[j - 1]
        e = r - basis[n + j - 1]
        quadratic.append(np.outer(e, e) - c * np.outer(r, r))  # <= 0
    objective = np.outer(a[n] - a_hat[n], a[n] - a_hat[n])
    if dual:
        of_d, of_q = cp.Variable(n, nonneg=True), cp.Variable(n, nonneg=True)
        proof = cp.diag(cp.hstack([of_d, np.zeros(n)])) + sum(m * x for m, x in zip(of_q, quadratic, strict=True))
        S = cp.Variable((2 * n, 2 * n), PSD=True)
        problem = cp.Problem(cp.Minimize(of_d @ np.square(d)), [proof - objective == S])
    else:
        G = cp.Variable((2 * n, 2 * n), PSD=True)
        known = [G[k, k] <= d[k] ** 2 for k in range(n)] + [cp.trace(x @ G) <= 0 for x in quadratic]
        problem = cp.Problem(cp.Maximize(cp.trace(objective @ G)), known)
    problem.solve(solver="CLARABEL")
    assert problem.status == "optimal"
    return np.sqrt(problem.value)


@pytest.mark.parametrize("d", PROFILES)
@pytest.mark.parametrize("loop", ["closed", "open"])
def test_a_second_formulation_gives_the_same_number(loop, d):
    certificate = {"closed": closed_loop, "open": open_loop}[loop](4, 0.3, d=d)
    for dual in (False, True):  # unscaled, so that its tolerances are relative to the largest number only: 1e-4
        assert restated(loop, 0.3, d, dual=dual) == pytest.approx(certificate.value, rel=1e-4)


def test_another_solver_gives_the_same_number():
    first, second = closed_loop(4, 0.3), closed_loop(4, 0.3, solver="SCS")
    assert (first.solver, second.solver) == ("CLARABEL", "SCS")
    assert second.value == pytest.approx(first.value, rel=1e-4)


# -- what attains it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", ["closed_loop", "open_loop"])
@pytest.mark.parametrize("c", [0.2, 0.8])
def test_one_quantizer_for_all_steps_attains_it(loop, c):
    """Interpolation by a single map costs nothing: the very recursion, run with one map, reaches the value."""
    d = PROFILES[-1]
    run = _shared.run(loop, _shared.collinear(d), _shared.Shrink(contraction=c))
    assert run.error[-1, 0] == pytest.approx(getattr(certificates, loop)(4, c, d=d).value, **CLOSE)


def test_nothing_in_the_class_exceeds_it():
    """Random contractive errors in three dimensions, pushed towards the last one: a second lower bound, from below."""
    rng, c = np.random.default_rng(0), 0.4
    value = closed_loop(4, c).value
    largest = 0.0
    for _ in range(2000):
        e = np.zeros(3)
        for _ in range(4):
            d = e + rng.uniform(0, 1) * rng.standard_normal(3)
            r = (d / np.linalg.norm(d)) + e
            turn = r + rng.uniform(0, 1) * rng.standard_normal(3)
            e = np.sqrt(c) * np.linalg.norm(r) * turn / np.linalg.norm(turn)
        largest = max(largest, np.linalg.norm(e))
    assert 0.9 * value < largest <= value * (1 + 1e-9)


# -- chains -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "layers"), [(1, 2), (4, 2), (3, 3)])
@pytest.mark.parametrize("c", [0.05, 1.5])
def test_the_chain_bound_is_exact(n, layers, c):
    rng = np.random.default_rng(n + layers)
    d, gains = rng.uniform(0.1, 2, (n, layers)), rng.uniform(0.3, 2, layers - 1)
    found = certificates.chain_closed_loop(n, c, gains, d=d)
    assert found.value == pytest.approx(bounds.chain_closed_loop(d, np.sqrt(c), gains)[-1, -1], **CLOSE)
    assert found.shares.shape == d.shape
    assert found.shares.sum() == pytest.approx(1, abs=1e-4)


def test_a_chain_without_compensation_is_exact_for_two_layers_and_loose_for_three():
    rng = np.random.default_rng(0)
    d = rng.uniform(0.5, 2, (3, 3))
    two = certificates.chain_open_loop(3, 0.3, [0.8], d=d[:, :2]).value
    assert two == pytest.approx(bounds.chain_open_loop(d[:, :2], np.sqrt(0.3), [0.8])[-1, -1], **CLOSE)
    three = certificates.chain_open_loop(3, 0.3, [0.8, 1.2], d=d).value
    assert three < 0.97 * bounds.chain_open_loop(d, np.sqrt(0.3), [0.8, 1.2])[-1, -1]


def test_a_chain_of_one_layer_is_the_loop():
    for loop in ("closed_loop", "open_loop"):
        chain = getattr(certificates, f"chain_{loop}")(3, 0.3, ())
        assert chain.value == getattr(certificates, loop)(3, 0.3).value


# -- no number without a certificate ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_iter": 1}, "CLARABEL ended with status 'user_limit'"),
        ({"solver": "SCS", "max_iters": 5}, "SCS ended with status 'optimal_inaccurate'"),
        ({"solver": "SCS", "eps_abs": 0.3, "eps_rel": 0.3}, "SCS says 'optimal', but its bounds .* not accurate"),
    ],
)
def test_a_solver_that_did_not_finish_gives_an_error(options, message, capfd):
    with pytest.raises(CertificateError, match=message):
        closed_loop(4, 0.5, **options)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("sign", "status"), [(1, "infeasible"), (-1, "unbounded")])
def test_an_infeasible_or_unbounded_program_gives_an_error(monkeypatch, sign, status):
    """Differences demanded to have norm² <= -1; or errors that may be arbitrarily large."""
    within = semidefinite.Program.within

    def broken(self, of, q):
        point, unit = within(self, of, q)
        if sign > 0:
            self.pep.add_constraint(point**2 <= -1)
        else:
            self.pep.list_of_constraints.pop()
        return point, unit

    monkeypatch.setattr(semidefinite.Program, "within", broken)
    with pytest.raises(CertificateError, match=f"status '{status}"):
        closed_loop(2, 0.5)


def test_a_solver_that_crashes_gives_an_error(monkeypatch):
    import cvxpy

    def crash(self, *args, **options):
        raise cvxpy.error.SolverError("out of memory")

    monkeypatch.setattr(cvxpy.Problem, "solve", crash)
    with pytest.raises(CertificateError, match="CLARABEL failed: out of memory"):
        closed_loop(2, 0.5)


def test_nothing_is_printed(capfd):
    closed_loop(2, 0.5)
    assert capfd.readouterr() == ("", "")


def test_where_every_error_is_zero_no_solver_is_asked():
    for found in (closed_loop(3, 0.0), closed_loop(3, 0.5, d=0.0), certificates.chain_closed_loop(2, 0.0, [1.0])):
        assert (found.value, found.lower, found.status) == (0.0, 0.0, "trivial")
        assert not found.shares.any()
    assert closed_loop(2, 0.25, d=0.0, start=8.0).value == pytest.approx(2, **CLOSE)  # an error without differences


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: closed_loop(0, 0.5), "n, .* must be an int >= 1"),
        (lambda: closed_loop(2.0, 0.5), "n, .* must be an int >= 1"),
        (lambda: closed_loop(51, 0.5), "takes minutes beyond 50"),
        (lambda: certificates.chain_open_loop(18, 0.5, [1.0, 1.0]), "n = 18 differences of 3 layers"),
        (lambda: closed_loop(2, -0.1), "c is a ratio of squared norms and must be finite and >= 0"),
        (lambda: open_loop(2, np.inf), "c is a ratio"),
        (lambda: open_loop(2, np.nan), "c is a ratio"),
        (lambda: closed_loop(2, 0.5, d=[1, 2, 3]), r"d must be one norm or have shape \(2,\)"),
        (lambda: closed_loop(2, 0.5, d=[1, -2]), "d are norms of differences"),
        (lambda: closed_loop(2, 0.5, start=-1.0), "start is the norm of an error"),
        (lambda: closed_loop(2, 0.5, d=Budget(0.0)), "total must be finite and > 0"),
        (lambda: closed_loop(2, 0.5, d=Budget(1.0, [1.0, 0.0])), "2 finite weights > 0"),
        (lambda: closed_loop(2, 0.5, d=Budget(1.0, [1.0])), "2 finite weights > 0"),
        (lambda: closed_loop(2, 0.5, solver="SIMPLEX"), "unknown solver 'SIMPLEX'; installed .* CLARABEL"),
        (lambda: certificates.chain_closed_loop(2, 0.5, [-1.0]), "gains .* must be finite"),
        (lambda: certificates.chain_open_loop(2, 0.5, [1.0], d=[1.0, 1.0]), r"d must be one norm or have shape \(2, 2"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("sizes", [{"d": 1e308}, {"d": 1e-320}, {"d": [1e-300, 1e300]}, {"c": 1e308}])
def test_sizes_whose_squares_leave_the_floats(sizes):
    with pytest.raises(CertificateError, match="change the units"):
        closed_loop(2, **({"c": 0.2} | sizes))


def test_what_is_no_number_is_named():
    with pytest.raises(TypeError, match="c is a ratio of squared norms and must be one real number"):
        closed_loop(2, "0.5")
    with pytest.raises(TypeError, match=r"gains .* must be one real number, got None"):
        certificates.chain_closed_loop(2, 0.5, [None])


def without_pepit(monkeypatch):
    """As on a machine without the extra: None stands for a module that cannot be found."""
    monkeypatch.setitem(sys.modules, "PEPit", None)


def test_a_missing_extra_is_named(monkeypatch):
    assert certificates.available()
    without_pepit(monkeypatch)
    assert not certificates.available()
    with pytest.raises(ImportError, match=r"certificates need PEPit: pip install 'modiff-sim\[theory\]'"):
        closed_loop(2, 0.5)


CLAIMS = [m for m in paper_checks.claims("theory") if m.CLAIM.id.startswith("certificate_")]


@pytest.mark.parametrize("module", CLAIMS, ids=[m.CLAIM.id for m in CLAIMS])
def test_claims_are_not_run_without_the_extra_and_say_so(module, monkeypatch):
    without_pepit(monkeypatch)
    judged = judge(module.CLAIM, module.check("quick"))
    assert judged.verdict == Verdict.NOT_RUN
    assert judged.detail == "PEPit is not installed: pip install 'modiff-sim[theory]'"
    assert judged.as_expected  # an extra that was left out on purpose is no surprise


def test_there_are_claims_with_certificates():
    assert {m.CLAIM.id.removeprefix("certificate_") for m in CLAIMS} >= {"closed_loop", "open_loop", "slack"}


def test_the_figure_is_drawn_without_the_extra_and_says_so(monkeypatch):
    module = figures.load("certificates")
    assert module.PARAMS["quick"]["pepit"] is certificates.available()
    without_pepit(monkeypatch)
    monkeypatch.setitem(module.PARAMS, "quick", module.PARAMS["quick"] | {"pepit": False})
    data = module.data("quick")
    assert np.isnan(data["dots_closed_loop"]).all()
    with style.applied():
        figure = module.plot(data)
        figure.draw_without_rendering()
    assert "exact worst case: needs PEPit" in [t.get_text() for t in figure.legends[0].get_texts()]
