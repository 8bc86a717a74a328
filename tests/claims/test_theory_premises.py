"""The statements of docs/theory.md that need a premise: the counter-example without it, and what holds with it."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim import LAWS, LawBroken, Laws, Threshold, bounds, regimes
from modiff_sim import recursion as rec

SUBNORMAL = 5e-324

# -- section 2: who attains the max-norm bound -----------------------------------------------------------------------


def attaining(sizes, kappa, coordinates):
    """Differences (n, coordinates) of these max norms whose closed loop of AbsMax attains the bound at every step, or
    None: coordinate j mod d ties at step j and is the maximum at step j + 1; before it ties it climbs in the dead zone.

    Exact fractions. The coordinate that ties at step j has been at rest since step j - d + 1, when it was the maximum.
    """
    E, sizes = Fraction(0), [Fraction(s) for s in sizes]
    bound = [E := kappa * (s + E) for s in sizes]
    steps = [[Fraction(0)] * coordinates for _ in sizes]
    for j in range(len(sizes)):
        left = bound[j]  # what the tie of step j still has to climb, counted back from step j
        for k in range(j, max(-1, j - coordinates + 1), -1):
            move = min(left, sizes[k])
            steps[k][j % coordinates] += move
            left -= move
        if left:
            return None
        steps[j][(j - 1) % coordinates] = sizes[j]  # the one that carries the error moves on
    return steps


def errors_of(steps, bits):
    """Max norms of the AbsMax closed loop's errors after each difference, in exact fractions."""
    qmax, error, found = 2 ** (bits - 1) - 1, [Fraction(0)] * len(steps[0]), []
    for step in steps:
        r = [e + d for e, d in zip(error, step, strict=True)]
        scale = max(map(abs, r)) / qmax
        error = [v - scale * round(v / scale) for v in r] if scale else r  # round: ties to even
        found.append(max(map(abs, error)))
    return found


def bound_of(sizes, kappa):
    E = Fraction(0)
    return [E := kappa * (Fraction(s) + E) for s in sizes]


def test_two_coordinates_miss_the_bound_where_sizes_shrink_fast_and_three_attain_it():
    """b = 2, ||d|| = (1, .1): every second step of two coordinates reaches at most 0.1, the bound is 0.3."""
    sizes, kappa = [Fraction(1), Fraction(1, 10)], Fraction(1, 2)
    assert bound_of(sizes, kappa) == [Fraction(1, 2), Fraction(3, 10)]
    assert attaining(sizes, kappa, 2) is None
    assert errors_of(attaining(sizes, kappa, 3), 2) == bound_of(sizes, kappa)
    grid = np.linspace(-0.1, 0.1, 401)
    x, y = (v.ravel() for v in np.meshgrid(grid, grid))
    first = np.array([1.0, 0.5])  # attains step 1: the error is (0, 0.5); no other first step does but by symmetry
    inputs = np.stack([np.zeros((len(x), 2)), np.tile(first, (len(x), 1)), first + np.stack([x, y], axis=1)])
    *_, (last, _) = rec.run("closed_loop", inputs, ms.AbsMax(2))
    assert np.abs(inputs[-1] - last.ref).max() == pytest.approx(0.1, abs=1e-12)


def test_three_coordinates_miss_it_where_sizes_shrink_faster():
    sizes, kappa = [Fraction(1), Fraction(1, 1000), Fraction(1, 10**6)], Fraction(1, 2)
    assert attaining(sizes, kappa, 3) is None
    assert errors_of(attaining(sizes, kappa, 4), 2) == bound_of(sizes, kappa)


@given(
    sizes=st.lists(st.fractions(Fraction(1, 100), 100), min_size=1, max_size=7),
    bits=st.integers(2, 5),
    d=st.integers(2, 8),
)
def test_d_coordinates_attain_it_while_the_last_differences_suffice(sizes, bits, d):
    """E_j <= ||d_j|| + ... + ||d_{j-d+2}||; with n + 1 coordinates always. Equality in exact fractions."""
    kappa = Fraction(1, 2 * (2 ** (bits - 1) - 1))
    bound = bound_of(sizes, kappa)
    enough = all(sum(sizes[max(0, j - d + 2) : j + 1]) >= E for j, E in enumerate(bound))
    steps = attaining(sizes, kappa, d)
    assert (steps is not None) == enough
    if len(sizes) < d:
        assert enough
    if steps is not None:
        assert [max(map(abs, step)) for step in steps] == sizes
        assert errors_of(steps, bits) == bound


# -- section 6: a scale that is too fine -----------------------------------------------------------------------------


@given(bits=st.integers(2, 8), f=st.floats(1, 10))
def test_a_scale_too_fine_needs_to_be_so_by_half_a_step(bits, f):
    qmax = 2 ** (bits - 1) - 1
    scale = 1 / (qmax * f)  # M = 1 is qmax·f steps
    kappa = float(bounds.static_contraction(1.0, scale, bits))
    expected = 1 - 1 / f if f >= (qmax + 0.5) / qmax else 1 / (2 * qmax * f)
    assert kappa == pytest.approx(expected, abs=1e-12)
    x = np.array([[1.0, min(1.0, scale / 2)]])
    assert np.abs(x - ms.Static(bits, scale=scale)(x)).max() == pytest.approx(kappa, abs=1e-12)


def test_a_scale_slightly_too_fine_loses_half_a_step_and_not_what_1_minus_1_over_f_says():
    assert bounds.static_contraction(1.0, 1 / 1.2, 2) == pytest.approx(1 / 2.4)  # 2 bits, f = 1.2 < 1.5
    assert 1 - 1 / 1.2 < 1 / 2.4


def test_a_scale_too_coarse_by_much_loses_everything_and_no_more():
    assert bounds.static_contraction(1.0, 10.0, 2) == 1


# -- section 12: who wins --------------------------------------------------------------------------------------------


def test_at_two_bits_a_change_below_the_inputs_own_size_is_not_enough():
    kappa = ms.AbsMax(2).kappa(64)
    assert regimes.boundary("closed_loop", "direct", 200, kappa) == pytest.approx(0.5)
    at = {s: float(regimes.error(s, 0.9, 200, kappa)) for s in ("direct", "closed_loop")}
    assert at["closed_loop"] > at["direct"]  # ρ = 0.9 < 1
    for bits, share in ((3, 5 / 6), (4, 13 / 14)):
        assert regimes.boundary("closed_loop", "direct", 200, ms.AbsMax(bits).kappa(64)) == pytest.approx(share)
    for c, share in ((0.934, 0.257), (0.202, 0.893), (0.037, 0.981)):  # absmax on normal entries, section 11
        assert regimes.boundary("closed_loop", "direct", 10**6, c, reading="typical") == pytest.approx(share, abs=1e-3)


@given(b=st.integers(3, 16), saved=st.integers(1, 13), calls=st.integers(1, 200))
def test_what_a_first_call_costs_depends_on_the_bits_saved(b, saved, calls):
    if saved >= b - 1:
        return
    cost = float(regimes.effective_bits(b - saved, calls, 0))
    limit = Fraction(32 - b, saved) + 1
    assert (cost < b * (1 - 1e-12)) == (calls > limit)


def test_a_few_calls_suffice_where_half_of_the_bits_are_saved():
    assert regimes.effective_bits(4, 8, 0) < 8 <= regimes.effective_bits(4, 7, 0)
    assert regimes.effective_bits(7, 26, 0) < 8 <= regimes.effective_bits(7, 25, 0)


# -- section 15: the threshold's norm --------------------------------------------------------------------------------


def test_no_declared_constant_bounds_the_1_norm_of_the_default_threshold():
    assert Threshold(0.1).norm == "l1"
    x = np.array([[3.0, 0.5, 0.5, 0.5]])
    Q = ms.AbsMax(3)
    lost = np.abs(x - Q(x)).sum() / x.sum()
    assert lost == pytest.approx(1 / 3)
    assert lost > math.sqrt(Q.c(4)) > Q.kappa(4)
    for bits, d in ((2, 5), (3, 4), (4, 300)):  # its own constant, attained
        q = 2 ** (bits - 1) - 1
        x = np.array([[float(q), *[0.5] * (d - 1)]])
        assert np.abs(x - ms.AbsMax(bits)(x)).sum() / x.sum() == pytest.approx((d - 1) / (d - 1 + 2 * q))


@given(x=st.lists(st.floats(-8, 8), min_size=1, max_size=12), bits=st.integers(2, 6))
def test_absmax_in_the_1_norm(x, bits):
    x = np.array([x])
    d, q = x.shape[1], 2 ** (bits - 1) - 1
    if np.abs(x).max() > 1e-3:
        assert np.abs(x - ms.AbsMax(bits)(x)).sum() <= (d - 1) / (d - 1 + 2 * q) * np.abs(x).sum() + 1e-12


def test_the_skipped_bound_is_not_attained_between_the_threshold_and_k_times_it():
    """k = 1/4, τ||ref|| = 1, a residual of 2 is computed and loses 1/2; the bound allows 1."""
    assert bounds.skipped_closed_loop([2.0], 0.25, 1.0, 1.0).tolist() == [1.0]
    assert bounds.skipped_closed_loop([8.0], 0.25, 1.0, 1.0).tolist() == [2.0]  # attained again
    assert bounds.skipped_closed_loop([0.5], 0.25, 1.0, 1.0).tolist() == [0.5]


# -- section 11 and the laws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ms.MXFP4E2M1, ms.MXFP6E2M3, ms.MXFP8E4M3, ms.MXFP8E5M2, ms.MXINT8])
def test_block_formats_keep_their_constants_within_e8m0_only(kind):
    Q, emax = kind(), kind.element.emax
    block = np.random.default_rng(0).uniform(0.5, 1, (1, 32))
    block[0, 0] = 1.0
    for exponent in (emax - 127, emax + 127):  # both ends
        x = np.ldexp(block, exponent)
        assert Q.in_domain(x).all()
        LAWS["kappa"](Q, x)
        LAWS["c"](Q, x)
    for exponent in (emax - 127 - 64, emax + 128 + 64):
        x = np.ldexp(block, exponent)
        assert not Q.in_domain(x).any()
        for law in ("kappa", "c"):
            with pytest.raises(LawBroken, match=law):
                LAWS[law](Q, x)


def test_a_subnormal_scale_breaks_the_laws_and_in_domain_does_not_see_it():
    Q, x = ms.AbsMax(4), np.array([[SUBNORMAL, 0.0]])
    assert Q.in_domain(x).all()
    with pytest.raises(LawBroken, match="kappa"):
        LAWS["kappa"](Q, x)


def test_floor_stops_contracting_where_it_is_said_to():
    for bits, d in ((2, 6), (3, 26)):
        assert ms.Floor(bits).c(d - 1) < 1
        assert ms.Floor(bits).c(d) == 1
        assert ms.Floor(bits).c(d + 1) > 1


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"c": "bound"}, "c must be 'tight' or 'upper', got 'bound'"),
        ({"c": None}, "c must be"),
        ({"kappa": "Tight"}, "kappa must be 'tight' or 'upper', got 'Tight'"),
        ({"kappa": True}, "kappa must be"),
        ({"idempotent": "yes"}, "idempotent must be True or False, got 'yes'"),
        ({"unbiased": 1}, "unbiased must be True or False, got 1"),
        ({"randomised": None}, "randomised must be"),
        ({"error": -0.5}, "error is a number r >= 0"),
        ({"error": math.nan}, "error is a number"),
        ({"error": math.inf}, "error is a number"),
        ({"error": "half"}, "got 'half'"),
        ({"error": True}, "error is a number"),
    ],
)
def test_laws_that_mean_nothing_are_refused(declared, message):
    with pytest.raises(ValueError, match=message):
        Laws(**{"error": 0.5, **declared})


def test_laws_that_mean_something_are_taken():
    for error in (None, 0, 0.5, np.float64(0.5), np.float32(0.25)):
        for c in ("tight", "upper"):
            assert Laws(error=error, c=c, kappa=c).c == c
