"""Products of two activations: the rule in exact arithmetic, its error, its bounds and what it costs."""

import operator
from dataclasses import replace
from fractions import Fraction

import array_api_strict as strict
import numpy as np
import pytest
import reference
import torch
from calls import infos
from hypothesis import given, target
from hypothesis import strategies as st
from reference import PAPER

import modiff_sim as ms
from modiff_sim import bilinear, bounds
from modiff_sim import recursion as rec
from modiff_sim.bounds import products
from modiff_sim.testing.checks import _Grid
from paper_checks._beyond import Overshoot
from paper_checks._shared import Shrink

EPS = np.finfo(float).eps
GRID = _Grid(bits=8)  # multiples of 4: exact on integers, and loses something


def make(seed, n, limit):
    """Operands a (n, 2, 2, 3) and b (n, 2, 3, 2) of small integers; each stands still for a third of the calls."""
    rng = np.random.default_rng(seed)
    out = []
    for shape in ((n, 2, 2, 3), (n, 2, 3, 2)):
        x = rng.integers(-limit, limit + 1, shape).astype(float)
        for k in range(1, n):
            if rng.random() < 1 / 3:
                x[k] = x[k - 1]
        out.append(x)
    return out


def pairs(limit=8):
    return st.builds(make, st.integers(0, 10**6), st.integers(2, 6), st.sampled_from([1, limit]))


# -- the rule ----------------------------------------------------------------------------------------------------------


@given(pairs())
def test_closed_loop_output_is_the_product_of_the_reconstructions(operands):
    """On integers with a power-of-two scale everything is exact: ==. The error is this call's roundings only."""
    a, b = operands
    for call, (state, info) in enumerate(bilinear.run("closed_loop", zip(a, b, strict=True), GRID)):
        e_a, e_b = a[call] - state.left, b[call] - state.right
        assert np.array_equal(info.output, state.left @ state.right)
        assert np.array_equal(a[call] @ b[call] - info.output, e_a @ b[call] + state.left @ e_b)
        if call:
            assert np.array_equal(e_a, info.left.residual - info.left.residual_hat)
            assert np.array_equal(e_b, info.right.residual - info.right.residual_hat)


@given(pairs())
def test_open_loop_error_is_the_sum_of_all_calls(operands):
    a, b = operands
    total = np.zeros((2, 2, 2))
    for call, (_, info) in enumerate(bilinear.run("open_loop", zip(a, b, strict=True), GRID)):
        if call:
            lost = [s.residual - s.residual_hat for s in (info.left, info.right)]
            total = total + lost[0] @ b[call] + a[call - 1] @ lost[1]
        assert np.array_equal(a[call] @ b[call] - info.output, total)


@given(pairs())
def test_direct_is_the_product_of_the_quantized_operands(operands):
    a, b = operands
    Q = (ms.AbsMax(3), ms.MinMax(4))
    for x, y, (_, info) in zip(a, b, bilinear.run("direct", zip(a, b, strict=True), Q), strict=True):
        assert np.array_equal(info.output, Q[0](x) @ Q[1](y))


@given(pairs())
def test_the_order_of_the_rule_is_a_choice(operands):
    """r·b̂' + â·s = r·b̂ + â'·s = r·b̂ + â·s + r·s; without r·s it is another number wherever r·s is not zero."""
    a, b = operands
    last = None
    for state, info in bilinear.run("closed_loop", zip(a, b, strict=True), GRID):
        if last is not None:
            r, s, A, B = info.left.residual_hat, info.right.residual_hat, last.left, last.right
            moved = state.o_hat - last.o_hat
            assert np.array_equal(moved, r @ B + (A + r) @ s)
            assert np.array_equal(moved, r @ B + A @ s + r @ s)
        last = state


@pytest.mark.parametrize("name", PAPER)
@given(operands=pairs())
def test_identity_reproduces_every_product(name, operands):
    a, b = operands
    before = a.copy(), b.copy()
    for warmup in ("exact", "quantized", 2):
        calls = infos(bilinear.run(name, zip(a, b, strict=True), ms.Identity(), warmup=warmup))
        assert all(np.array_equal(s.output, x @ y) for x, y, s in zip(a, b, calls, strict=True))
    assert np.array_equal(a, before[0])  # and the arguments are as they were
    assert np.array_equal(b, before[1])


@pytest.mark.parametrize("name", ["open_loop", "closed_loop"])
@given(operands=pairs())
def test_with_one_operand_at_rest_it_is_the_recursion_of_a_linear_layer(name, operands):
    """Keys and values of a cross-attention do not change between calls: then b is the weight, and s an exact zero."""
    a, b = operands
    b = np.repeat(b[:1], len(b), axis=0)
    layer = rec.run(name, a, GRID, lambda x: x @ b[0])
    for (state, info), (plain, seen) in zip(bilinear.run(name, zip(a, b, strict=True), GRID), layer, strict=True):
        assert np.array_equal(info.output, seen.output)
        assert np.array_equal(state.left, plain.ref)


def literal(name, a, b, bits, feeds):
    """The rule in floats and loops, entry by entry: operands are lists of rows, one scale each."""

    def Q(x):
        flat = reference.absmax([v for row in x for v in row], bits)
        return [flat[i * len(x[0]) : (i + 1) * len(x[0])] for i in range(len(x))]

    def combine(x, y, f):
        return [[f(u, v) for u, v in zip(r, s, strict=True)] for r, s in zip(x, y, strict=True)]

    def times(x, y):
        return [[sum(u * v for u, v in zip(row, col, strict=True)) for col in zip(*y, strict=True)] for row in x]

    out, state = [], None
    for x, y in zip(a, b, strict=True):
        rounds = 1 if state or name == "direct" else feeds
        if name == "direct":
            state = (None, None, times(Q(x), Q(y)))
        elif state is None and not feeds:
            state = (x, y, times(x, y))
        for _ in range(rounds if name != "direct" else 0):
            if state is None:
                r, s = Q(x), Q(y)
                state = (r, s, times(r, s)) if name == "closed_loop" else (x, y, times(r, s))
                continue
            ra, rb, o = state
            r, s = Q(combine(x, ra, operator.sub)), Q(combine(y, rb, operator.sub))
            na, nb = (combine(ra, r, operator.add), combine(rb, s, operator.add)) if name == "closed_loop" else (x, y)
            o = combine(o, combine(times(r, nb), times(ra, s), operator.add), operator.add)
            state = (na, nb, o)
        out.append(state[2])
    return out


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize(("warmup", "feeds"), [("exact", 0), ("quantized", 1), (3, 3)])
@given(operands=pairs(), bits=st.integers(2, 5))
def test_equals_the_oracle(name, warmup, feeds, operands, bits):
    """Operands bit for bit as in floats (so ties fall alike); products are summed in another order: entries below 200,
    a few roundings per call of sums of 3 products."""
    a, b = operands
    got = infos(bilinear.run(name, zip(a, b, strict=True), ms.AbsMax(bits), warmup=warmup))
    for sample in range(2):
        expected = literal(name, *([x[sample].tolist() for x in seq] for seq in (a, b)), bits, feeds)
        assert np.allclose([s.output[sample] for s in got], expected, rtol=0, atol=1e-10)


def test_zero_bits_repeat_the_product_and_skip_it():
    rng = np.random.default_rng(0)
    a, b, calls = rng.standard_normal((5, 2, 3, 4)), rng.standard_normal((5, 2, 4, 3)), []

    def counted(x, y):
        calls.append(1)
        return x @ y

    for name in ("open_loop", "closed_loop"):
        states = infos(bilinear.run(name, zip(a, b, strict=True), ms.Zero(), counted))
        assert all(np.array_equal(s.output, states[0].output) for s in states)
    assert len(calls) == 2
    calls.clear()
    infos(bilinear.run("closed_loop", zip(a, b, strict=True), (ms.AbsMax(4), ms.Zero()), counted))
    assert len(calls) == 1 + 4  # one product per call where only one operand moves


def test_refresh_and_start():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((7, 2, 3, 4)), rng.standard_normal((7, 2, 4, 3))
    for name in PAPER:
        for call, (state, s) in enumerate(bilinear.run(name, zip(a, b, strict=True), ms.AbsMax(2), refresh=3)):
            exact = call in (3, 6) or (call == 0 and name != "direct")
            assert np.array_equal(s.output, a[call] @ b[call]) == exact
            assert s.quantized != exact
            assert state.call == call + 1
    one, again = (
        infos(bilinear.run("closed_loop", zip(a, b, strict=True), ms.AbsMax(2), warmup=w)) for w in ("quantized", 1)
    )
    assert all(np.array_equal(x.output, y.output) for x, y in zip(one, again, strict=True))


def test_random_bits_are_the_callers():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((4, 2, 3, 4)), rng.standard_normal((4, 2, 4, 3))

    def bits(call, seed=0):
        g = np.random.default_rng([seed, call])
        pair = (g.random(a.shape[1:]), g.random(b.shape[1:]))
        return [pair] if call == 0 else pair

    runs = [
        [s.output for _, s in bilinear.run("closed_loop", zip(a, b, strict=True), ms.Stochastic(3), warmup=1, random=f)]
        for f in (bits, bits, lambda call: bits(call, 1))
    ]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


@pytest.mark.parametrize("name", PAPER)
@given(operands=pairs())
def test_backends_agree_bit_for_bit(name, operands):
    """With a product entry by entry, which no library may sum in another order."""
    a, b = (x.reshape(len(x), 2, 6).astype(np.float32) / 4 for x in operands)
    runs = [
        infos(bilinear.run(name, [(f(x), f(y)) for x, y in zip(a, b, strict=True)], ms.AbsMax(3), operator.mul))
        for f in (lambda x: x, lambda x: torch.from_numpy(x.copy()), strict.asarray)
    ]
    for plain, *others in zip(*runs, strict=True):
        assert all(np.array_equal(plain.output, np.asarray(other.output)) for other in others)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"warmup": 0}, "warmup must be"), ({"refresh": 0}, "k >= 1"), ({"recursion": "half"}, "known: direct")],
)
def test_bad_options(options, message):
    x = np.ones((2, 2, 2))
    with pytest.raises(ValueError, match=message):
        list(bilinear.run(**({"recursion": "closed_loop", "inputs": [(x, x)], "Q": ms.AbsMax(3)} | options)))
    with pytest.raises(TypeError, match="real floats"):
        infos(bilinear.run("direct", [(x, x.astype(int))], ms.AbsMax(3)))


# -- what a wrong rule would do ----------------------------------------------------------------------------------------


class Stale(rec.ClosedLoop):
    """Negative control: the reference is not updated."""

    def next_ref(self, ref, a, residual_hat):
        return ref


def test_three_quantizers_are_no_pair():
    x = np.ones((2, 2))
    with pytest.raises(ValueError, match="argument"):
        list(bilinear.run("closed_loop", [(x, x)], (ms.AbsMax(3),) * 3))


def test_a_stale_reference_is_caught():
    rng = np.random.default_rng(0)
    a, b = rng.integers(-8, 9, (5, 2, 2, 3)).astype(float), rng.integers(-8, 9, (5, 2, 3, 2)).astype(float)
    last = None
    for pair in zip(a, b, strict=True):
        last, _ = bilinear.advance(rec.Scheme(Stale()), last, *pair, (GRID, GRID))
    assert not np.array_equal(last.o_hat, last.left @ last.right)


def test_a_recursion_that_the_rule_is_not_derived_for_is_refused():
    x = np.ones((2, 2, 2))
    with pytest.raises(ValueError, match=r"products .* not for Stale: choose one of these"):
        infos(bilinear.run(Stale(), [(x, x)], GRID))


# -- bounds ------------------------------------------------------------------------------------------------------------


def norms(x):
    return np.abs(x).max(axis=(-2, -1))


@pytest.mark.parametrize("name", ["open_loop", "closed_loop"])
@given(operands=pairs(limit=50), bits=st.integers(2, 5), seed=st.integers(0, 99))
def test_no_product_exceeds_its_bound(name, operands, bits, seed):
    a, b = (x * np.random.default_rng(seed).lognormal(size=x.shape) for x in operands)
    Q = ms.AbsMax(bits)
    states = infos(bilinear.run(name, zip(a, b, strict=True), Q))[1:]
    error = np.stack([norms(x @ y - s.output) for x, y, s in zip(a[1:], b[1:], states, strict=True)])
    d_a, d_b = norms(np.diff(a, axis=0)), norms(np.diff(b, axis=0))
    kappa = (Q.kappa(6), Q.kappa(6))
    if name == "closed_loop":
        bound = products.closed_loop_bound(norms(a[1:]), norms(b[1:]), d_a, d_b, kappa, inner=3)
    else:
        bound = products.open_loop_bound(norms(a[:-1]), norms(b[1:]), d_a, d_b, kappa, inner=3)
    slack = 64 * len(a) * EPS * norms(a).max() * norms(b).max()
    assert np.all(error <= bound + slack)
    target(float(np.max(error / (bound + slack + 1e-300))), label=name)


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=2, max_size=8),
    st.sampled_from([0.5, 0.25, 0.125]),
)
def test_closed_loop_bound_is_attained_at_every_call(sizes, kappa):
    """Q(x) = (1+κ)x, operands that change sign at every call, all entries equal: both reconstructions overshoot."""
    signs = (-1.0) ** np.arange(len(sizes))
    a, b = (np.array([s[i] for s in sizes], float) * signs for i in (0, 1))
    a, b = np.append(0.0, a), np.append(0.0, b)
    ones = np.ones((len(a), 1, 3, 3))
    inputs = zip(a[:, None, None, None] * ones, b[:, None, None, None] * ones, strict=True)
    states = infos(bilinear.run("closed_loop", inputs, Overshoot(contraction=kappa**2)))[1:]
    error = [abs(3 * x * y - s.output[0, 0, 0]) for x, y, s in zip(a[1:], b[1:], states, strict=True)]
    d = [np.abs(np.diff(x)) for x in (a, b)]
    bound = products.closed_loop_bound(np.abs(a[1:]), np.abs(b[1:]), *d, (kappa, kappa), inner=3)
    assert np.allclose(error, bound, rtol=1e-12, atol=0)


def test_open_loop_bound_is_attained_at_every_call():
    a, b = np.arange(1.0, 9.0), np.array([1.0, 1, 2, 5, 5, 6, 9, 10])
    inputs = zip(
        a[:, None, None, None] * np.ones((8, 1, 3, 3)), b[:, None, None, None] * np.ones((8, 1, 3, 3)), strict=True
    )
    states = infos(bilinear.run("open_loop", inputs, Shrink(contraction=1 / 16)))[1:]
    error = [3 * x * y - s.output[0, 0, 0] for x, y, s in zip(a[1:], b[1:], states, strict=True)]
    bound = products.open_loop_bound(a[:-1], b[1:], np.diff(a), np.diff(b), (0.25, 0.25), inner=3)
    assert np.allclose(error, bound, rtol=1e-12, atol=0)


def test_the_error_of_one_term_in_plain_numbers():
    """1·|a||b| with errors 1/2 and 1/4: 2·1/2 + 1·1/4 + 1/8. One term is what is meant where nothing is said."""
    assert products.error_bound(1.0, 2.0, 0.5, 0.25) == products.error_bound(1.0, 2.0, 0.5, 0.25, inner=1) == 1.375
    once = products.open_loop_bound([1.0], [2.0], [1.0], [1.0], kappa=(0.5, 0.25))
    assert once == products.open_loop_bound([1.0], [2.0], [1.0], [1.0], kappa=(0.5, 0.25), inner=1)


def test_a_softmax_passes_the_error_of_v_on_unamplified():
    """Rows of P have absolute sum 1, so with ||·||_{∞→∞} for P the bound has no dimension: inner = 1."""
    rng = np.random.default_rng(0)
    p = rng.standard_normal((2, 40, 40))
    p = np.exp(p) / np.exp(p).sum(-1, keepdims=True)
    v = rng.standard_normal((2, 40, 8))
    Q = ms.AbsMax(4)
    error = norms(p @ v - p @ Q(v))
    bound = products.error_bound(np.abs(p).sum(-1).max(-1), norms(v), 0.0, norms(v - Q(v)), inner=1)
    assert np.all(error <= bound * (1 + 1e-12))
    assert np.allclose(bound, norms(v - Q(v)))


# -- cost --------------------------------------------------------------------------------------------------------------


@given(st.tuples(*[st.integers(1, 16)] * 4))
def test_modulating_pays_where_the_shares_of_bits_add_up_to_less_than_one(bits):
    b_a, b_b, p_a, p_b = bits
    assert products.pays((b_a, b_b), (p_a, p_b)) == (Fraction(b_a, p_a) + Fraction(b_b, p_b) < 1)
    # float states: against 8-bit direct not even 2 + 2 bits pay
    assert not products.pays((2, 2), (8, 8), (32, 32))
    # an operand at rest costs nothing: then it pays as a linear layer does
    assert products.pays((b_a, 0), (p_a, p_b)) == (b_a < p_a)


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_least_ratio_is_where_half_of_directs_bits_are_saved(bits):
    ratio = products.least_ratio(bits)
    assert bounds.bits_saved(bits, ratio) == pytest.approx(bits, abs=1e-12)
    above, below = (bits + bounds.bits_saved(bits, r * ratio) for r in (1.01, 0.99))
    assert products.pays((bits, bits), (above, above))
    assert not products.pays((bits, bits), (below, below))
    with pytest.raises(ValueError, match="bits must be an int >= 2"):
        products.least_ratio(1)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_a_uniform_softmax_row_vanishes_beside_a_certain_one(bits):
    n = products.vanishing_tokens(bits)
    for tokens in (n, n - 1):
        p = np.stack([np.full(tokens, 1 / tokens), np.eye(tokens)[0]])[None]
        shared = ms.MinMax(bits)(p)
        assert np.all(shared[0, 0] == 0) == (tokens == n)
        assert np.array_equal(shared[0, 1], p[0, 1])
        alone = replace(ms.MinMax(bits), granularity=ms.PerToken())(p)
        assert np.allclose(alone, p, rtol=1e-12)


def test_state_elements():
    a, b = np.ones((2, 5, 3)), np.ones((2, 3, 7))
    ((state, _),) = bilinear.run("closed_loop", [(a, b)], ms.AbsMax(4))
    held = state.left.size + state.right.size + state.o_hat.size
    assert products.state_elements(a.shape, b.shape, state.o_hat.shape) == held == 30 + 42 + 70
