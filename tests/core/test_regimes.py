"""Where each scheme wins: the closed forms against sums written out, against runs, and against enumeration."""

import numpy as np
import pytest
from calls import apart, infos
from hypothesis import given
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim import bounds, recursion, regimes

KAPPA = {bits: ms.AbsMax(bits).kappa(2) for bits in range(2, 9)}
# a closed form rounds about ten times, expm1 and log included; 1/(1-x) multiplies that where x is near 1
RTOL = 1e-12

contractions = st.one_of(st.sampled_from([0.0, 1.0, *KAPPA.values()]), st.floats(0.01, 0.95), st.floats(1.1, 3))
lengths = st.integers(1, 40)
readings = st.sampled_from(sorted(regimes.READINGS))


def written_out(scheme, rho, n, x, reading):
    """Error over ||a||, by the one-step recursion of the docstring."""
    if scheme == "direct":
        return x if reading == "worst" else x**0.5
    power, total = (1, 0.0) if reading == "worst" else (2, 0.0)
    for _ in range(n):
        if scheme == "closed_loop":
            total = x * (rho**power + total)
        else:
            total += (1.0 if scheme == "cache" else x) * rho**power
    return total ** (1 / power)


# -- closed forms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", regimes.SCHEMES)
@given(rho=st.floats(0.001, 2), n=lengths, x=contractions, reading=readings)
def test_errors_equal_their_recursions(scheme, rho, n, x, reading):
    expected = written_out(scheme, rho, n, x, reading)
    assert regimes.error(scheme, rho, n, x, reading=reading) == pytest.approx(expected, rel=RTOL, abs=1e-300)


@given(rho=st.floats(0.001, 2), n=lengths, kappa=st.sampled_from(sorted(KAPPA.values())))
def test_worst_errors_are_the_bounds(rho, n, kappa):
    d = np.full(n, rho)
    for scheme, bound in (("closed_loop", bounds.max_norm_closed_loop), ("open_loop", bounds.max_norm_open_loop)):
        assert regimes.error(scheme, rho, n, kappa) == pytest.approx(bound(d, kappa)[-1], rel=RTOL)
    assert regimes.error("cache", rho, n, kappa) == pytest.approx(bounds.max_norm_closed_loop(d, 1.0)[-1], rel=RTOL)
    assert regimes.error("direct", rho, n, kappa) == bounds.direct(np.ones(1), kappa**2)[0]


@given(n=lengths, x=contractions, x_input=st.floats(0.01, 1), reading=readings, factor=st.floats(0.01, 3))
def test_below_its_boundary_a_scheme_is_better(n, x, x_input, reading, factor):
    options = {"reading": reading, "contraction_input": x_input}
    for scheme in ("closed_loop", "open_loop", "cache"):
        at = float(regimes.boundary(scheme, "direct", n, x, **options))
        if np.isinf(at):
            assert regimes.error(scheme, 2.0, n, x, reading=reading) == 0
            continue
        loop, direct = (regimes.error(s, factor * at, n, x, **options) for s in (scheme, "direct"))
        if abs(factor - 1) > 1e-9:
            assert (loop < direct) == (factor < 1)


def test_boundaries_as_printed_in_the_docstring():
    for kappa in KAPPA.values():
        assert regimes.boundary("closed_loop", "direct", 1, kappa) == pytest.approx(1)
        assert regimes.boundary("closed_loop", "direct", 3, kappa) == pytest.approx((1 - kappa) / (1 - kappa**3))
        assert regimes.boundary("closed_loop", "direct", 10**6, kappa) == pytest.approx(1 - kappa)
        assert regimes.boundary("open_loop", "direct", 7, kappa) == pytest.approx(1 / 7)
        assert regimes.boundary("cache", "direct", 7, kappa) == pytest.approx(kappa / 7)
        c = kappa  # any number in [0, 1)
        typical = [
            regimes.boundary(s, "direct", 9, c, reading="typical") for s in ("closed_loop", "open_loop", "cache")
        ]
        assert typical == pytest.approx([((1 - c) / (1 - c**9)) ** 0.5, 1 / 3, (c / 9) ** 0.5])


@given(rho=st.floats(0.001, 2), n=lengths, x=contractions, reading=readings)
def test_the_winner_has_the_smallest_error(rho, n, x, reading):
    name = str(regimes.winner(rho, n, x, reading=reading))
    errors = {s: float(regimes.error(s, rho, n, x, reading=reading)) for s in regimes.SCHEMES}
    assert errors[name] <= min(errors.values()) * (1 + 2e-12)
    if 0 < x < 1:
        assert name in ("direct", "closed_loop")  # neither the open loop nor the cache, ever
    if x > 1:
        assert name != "closed_loop"  # what is fed back grows


@given(n=st.integers(2, 40), x=st.floats(0.01, 0.95), reading=readings)
def test_the_order_of_the_loops(n, x, reading):
    def better(one, other, x):
        return float(regimes.boundary(one, other, n, x, reading=reading))

    for first, second in (("closed_loop", "open_loop"), ("open_loop", "cache"), ("closed_loop", "cache")):
        assert better(first, second, x) == np.inf
        assert better(second, first, x) == 0
        assert better(first, second, 1 / x) == 0  # a quantizer worse than none: the order is reversed
    assert regimes.boundary("closed_loop", "open_loop", 1, x, reading=reading) == 0  # one difference: the same


def test_grids_broadcast():
    rho, n, x = np.array([0.1, 0.9])[:, None, None], np.arange(1, 6)[:, None], np.array(list(KAPPA.values()))
    assert regimes.error("closed_loop", rho, n, x).shape == (2, 5, 7)
    names = regimes.winner(rho, n, x)
    assert names.shape == (2, 5, 7)
    assert set(names[0].ravel()) == {"closed_loop"}
    assert names[1, 4, 0] == "direct"
    assert regimes.boundary("open_loop", "direct", n, x).shape == (5, 7)


# -- against runs ---------------------------------------------------------------------------------------------------


def runs(process, bits, steps):
    """Max-norm error after every difference, by scheme; and the inputs (steps, d)."""
    inputs = list(process.stream(np.random.default_rng(0), 1, steps))
    settings = {s: (s, ms.AbsMax(bits)) for s in regimes.SCHEMES} | {"cache": ("closed_loop", ms.Zero())}
    errors = {
        scheme: np.array(
            [np.abs(a - s.output).max() for a, (_, s) in zip(inputs, recursion.run(name, inputs, Q), strict=True)]
        )
        for scheme, (name, Q) in settings.items()
    }
    return errors, np.concatenate(inputs)


@given(bits=st.integers(2, 8), n=st.integers(1, 30), share=st.floats(0.02, 1))
def test_one_sequence_attains_all_worst_cases(bits, n, share):
    kappa = KAPPA[bits]
    rho = share * float(regimes.boundary("closed_loop", "direct", n, kappa))
    errors, a = runs(regimes.worst_inputs(bits, rho), bits, n + 1)
    assert np.all(np.abs(a).max(axis=1) == 1)
    assert np.abs(np.diff(a, axis=0)).max(axis=1) == pytest.approx(rho, rel=1e-12)
    for scheme, found in errors.items():
        expected = regimes.error(scheme, rho, np.arange(1, n + 1), kappa)
        if scheme == "cache":
            expected = np.minimum(expected, 2)  # no two inputs are further apart
        # 1e-9 of a tie is kept away from it, which the closed loop's feedback at most doubles (1/(1-κ) = 2 at 2 bits)
        assert found[1:] == pytest.approx(expected, rel=4e-9)


@given(bits=st.integers(2, 5), seed=st.integers(0, 10**6))
def test_no_sequence_of_these_norms_does_worse(bits, seed):
    """Differences of every size up to ρ, bursts and pauses included: errors stay below those of constant size."""
    rng = np.random.default_rng(seed)
    n, rho = 12, 0.3
    d = rng.choice([0.0, 0.2, 1.0], (n, 1)) * rng.choice([-1.0, 0.1, 0.5, 1.0], (n, 5)) * rho
    a = 0.5 * np.concatenate([np.zeros((1, 5)), np.cumsum(d, axis=0)])
    a[:, 0] = np.maximum(1.0, np.abs(a).max())  # one coordinate holds the size
    rho = np.abs(np.diff(a, axis=0)).max() / a[0, 0]
    errors, _ = runs(ms.processes.recorded(a[:, None]), bits, n + 1)
    for scheme, found in errors.items():
        bound = regimes.error(scheme, rho, np.arange(1, n + 1), KAPPA[bits]) * a[0, 0]
        assert np.all(found[1:] <= bound + 1e-12), scheme  # k·eps: some ten roundings per call of numbers up to 2


def test_a_single_instance_can_differ():
    """2 bits, (9, 9.6) → (10, 10): the difference is a tenth of the input, and direct is exact all the same."""
    inputs = np.array([[9, 9.6], [10, 10]])
    rho = 1 / 10
    assert rho < regimes.boundary("closed_loop", "direct", 1, KAPPA[2])
    errors, _ = runs(ms.processes.recorded(inputs[:, None]), 2, 2)
    assert errors["direct"][1] == 0
    assert errors["closed_loop"][1] == pytest.approx(0.4)


def correlation(Q, inputs, seed):
    """<d_k, e_{k-1}> over its deviation if they were uncorrelated, summed over the calls of a closed loop."""
    rng = np.random.default_rng(seed)
    bits = (lambda call: rng.random(inputs.shape[1:])) if Q.laws.randomised else None
    states, _ = apart(recursion.run("closed_loop", inputs, Q, random=bits))
    errors = inputs - np.stack([s.ref for s in states])
    products = (np.diff(inputs, axis=0) * errors[:-1]).sum(axis=-1)
    products = products[1:].sum(axis=0)  # call 0 has no error
    return products.sum() / np.sqrt((products**2).sum())


@pytest.mark.parametrize("kind", ["drift", "bursts", "walk and back"])
def test_unbiased_rounding_grants_the_premise_on_every_sequence(kind):
    rng = np.random.default_rng(3)
    n, trials, d = 24, 400, 8
    steps = np.repeat(rng.standard_normal((1, trials, d)), n, axis=0)
    if kind == "bursts":
        steps *= (np.arange(n) % 5 == 0)[:, None, None]
    if kind == "walk and back":
        steps *= (-1.0) ** np.arange(n)[:, None, None]
    inputs = np.concatenate([np.zeros_like(steps[:1]), np.cumsum(steps, axis=0)])
    assert abs(correlation(ms.Stochastic(4), inputs, 0)) < 4  # deviations
    if kind == "drift":
        assert abs(correlation(ms.AbsMax(2), inputs, 0)) > 10  # nearest rounding does not: it follows the drift


# -- the cheapest scheme --------------------------------------------------------------------------------------------


@given(
    scheme=st.sampled_from(regimes.SCHEMES),
    rho=st.sampled_from([0.0, 0.003, 0.01, 0.05, 0.3]),
    x=contractions,
    tolerance=st.sampled_from([0.01, 0.05, 0.2]),
    reading=readings,
)
def test_the_longest_run_is_found_by_counting(scheme, rho, x, tolerance, reading):
    found = float(regimes.longest_run(scheme, rho, tolerance, x, reading=reading))
    errors = regimes.error(scheme, rho, np.arange(1, 500), x, reading=reading)
    within = int(np.logical_and.accumulate(errors <= tolerance * (1 + 1e-11)).sum())
    assert min(found, 499) == within


@given(bits=st.integers(0, 8), calls=st.integers(1, 40), refresh=st.integers(0, 12))
def test_effective_bits_count_the_calls_of_a_run(bits, calls, refresh):
    Q = ms.AbsMax(bits) if bits >= 2 else ms.Zero()
    inputs = np.random.default_rng(0).standard_normal((calls, 1, 3))
    done = infos(recursion.run("closed_loop", inputs, Q, refresh=refresh or "never"))
    spent = [Q.bits if info.quantized else 32 for info in done]
    assert regimes.effective_bits(Q.bits, calls, refresh) == pytest.approx(np.mean(spent))


@given(
    rho=st.floats(0.0005, 1.5),
    calls=st.integers(2, 60),
    tolerance=st.sampled_from([0.002, 0.02, 0.1, 0.4]),
    reading=readings,
)
def test_the_cheapest_setting_is_found_by_enumeration(rho, calls, tolerance, reading):
    costs = {"full_precision": 32.0}
    for bits, x in [(0, 1.0), *KAPPA.items()]:
        if bits and regimes.error("direct", rho, 1, x, reading=reading) <= tolerance:
            costs["direct"] = min(costs.get("direct", 99), bits)
        name = "closed_loop" if bits else "cache"
        periods = np.arange(2, calls + 1)  # a period of all calls is no refresh
        within = regimes.error(name, rho, periods - 1, x, reading=reading) <= tolerance
        if within.any():
            cost = float(regimes.effective_bits(bits, calls, periods[within]).min())
            costs[name] = min(costs.get(name, 99), cost)
    found = regimes.cheapest(rho, calls, tolerance, KAPPA, reading=reading)
    assert found.effective_bits == pytest.approx(min(costs.values()))
    assert costs[str(found.scheme)] == pytest.approx(min(costs.values()))


def test_a_cache_is_cheapest_where_it_needs_no_refresh():
    tolerance, calls = 0.1, np.array([20, 50, 200])
    for rho in (0.999 * tolerance / (calls - 1), 1e-9 * calls):
        found = regimes.cheapest(rho, calls, tolerance, KAPPA)
        assert set(found.scheme) == {"cache"}
        assert not found.refresh.any()
        assert found.bits.tolist() == [0, 0, 0]
    assert set(regimes.cheapest(0.9, calls, tolerance, KAPPA).scheme) == {"direct"}  # as large as the input itself
    assert set(regimes.cheapest(0.05, calls, tolerance, KAPPA).scheme) == {"closed_loop"}
    assert set(regimes.cheapest(1.0, calls, 1e-4, KAPPA).scheme) == {"full_precision"}


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: regimes.error("closed", 0.1, 3, 0.5), "unknown scheme 'closed'; known: direct, cache"),
        (lambda: regimes.error("cache", 0.1, 3, 0.5, reading="best"), "unknown reading 'best'; known: worst, typical"),
        (lambda: regimes.error("cache", -0.1, 3, 0.5), "rho"),
        (lambda: regimes.error("cache", np.nan, 3, 0.5), "rho"),
        (lambda: regimes.winner(0.1, 0, 0.5), "whole numbers >= 1"),
        (lambda: regimes.winner(0.1, 2.5, 0.5), "whole numbers >= 1"),
        (lambda: regimes.winner(0.1, 2, -0.5), "contraction"),
        (lambda: regimes.boundary("direct", "cache", 3, 0.5), 'ask for boundary\\("cache", "direct"'),
        (lambda: regimes.longest_run("cache", 0.1, 0, 0.5), "tolerance"),
        (lambda: regimes.effective_bits(4, 0), "calls >= 1"),
        (lambda: regimes.effective_bits(4, 1.5), "whole numbers"),
        (lambda: regimes.effective_bits(4, 10, 2.5), "whole numbers"),
        (lambda: regimes.effective_bits(np.inf, 10), "bits are finite"),
        (lambda: regimes.cheapest(0.1, 5, 0.1, {0: 0.5}), "bits must be an int >= 1"),
        (lambda: regimes.cheapest(0.1, 5, 0.1, {4: -0.5}), "the contraction at 4 bits must be finite and >= 0"),
        (lambda: regimes.cheapest(0.1, 5, 0.1, {4: 0.5}, full_bits=4), "full_bits must be finite and > 4"),
        (lambda: regimes.cheapest(0.1, 1, 0.1, KAPPA), "calls >= 2"),
        (lambda: regimes.cheapest(0.1, 5, 0.1, {}), "contractions is empty"),
        (lambda: regimes.worst_inputs(4, 1.5), "0 < rho <= 1"),
        (lambda: regimes.worst_inputs(1, 0.5), "2 <= bits"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
