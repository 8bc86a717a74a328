"""Split: ranges of channels quantized apart. Against its parts, in every backend, in the loop, in a model."""

from itertools import pairwise

import array_api_strict as strict
import numpy as np
import pytest
import torch
from calls import infos
from hypothesis import given, settings
from hypothesis import strategies as st
from models import walk

import modiff_sim as ms
from modiff_sim import LAWS, QUANTIZERS, LawBroken
from modiff_sim import recursion as rec
from modiff_sim.nn import modulated
from modiff_sim.quantizers import make
from modiff_sim.quantizers.law_checks import declared
from modiff_sim.testing import arrays

WIDE = arrays(shapes=st.tuples(st.integers(1, 3), st.integers(5, 9)))
NAMES = sorted(set(QUANTIZERS) - {"fp8_e5m2", "mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2"})  # as their kind
FEW = settings(max_examples=settings().max_examples * 2 // 5)
GRANULARITIES = st.sampled_from(
    [ms.PerSample(), ms.PerSample(), ms.PerBatch(), ms.PerChannel(1), ms.PerChannel(0), ms.PerToken(), ms.PerGroup(1)]
)
CUTS = st.sampled_from([(1,), (2,), (4,), (1, 3)])


def random_for(Q, x):
    return np.full(x.shape, 0.25, x.dtype) if Q.laws.randomised else None


def apart(Q, x, at, axis=1):
    parts = np.split(x, at, axis=axis)
    return np.concatenate([Q(part, random=random_for(Q, part)) for part in parts], axis=axis)


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(x=WIDE, bits=st.integers(2, 8), granularity=GRANULARITIES, at=CUTS)
def test_every_part_is_its_quantizers_result_in_every_backend(name, x, bits, granularity, at):
    inner = make(name, bits, granularity=granularity)
    Q, random = ms.Split(inner, at=at), random_for(inner, x)
    expected = apart(inner, x, at)
    assert np.array_equal(Q(x, random=random), expected)
    for convert in (torch.from_numpy, strict.asarray):
        got = Q(convert(x.copy()), random=None if random is None else convert(random.copy()))
        assert np.array_equal(np.asarray(got), expected)


@pytest.mark.parametrize("pair", [(ms.AbsMax(3), ms.MinMax(3)), (ms.AbsMax(3), ms.DeadZone(3, threshold=0.3))])
@pytest.mark.parametrize("order", [1, -1])
def test_parts_may_have_quantizers_of_two_kinds(pair, order):
    x, pair = np.random.default_rng(0).standard_normal((3, 8)), pair[::order]
    expected = np.concatenate([Q(part) for Q, part in zip(pair, np.split(x, (3,), axis=1), strict=True)], axis=1)
    assert np.array_equal(ms.Split(pair, at=(3,))(x), expected)


def test_cut_in_the_wrong_place_is_seen():
    x = np.random.default_rng(0).standard_normal((2, 8))
    x[:, 3] *= 10
    assert not np.array_equal(ms.Split(ms.AbsMax(3), at=(3,))(x), apart(ms.AbsMax(3), x, (4,)))


@pytest.mark.parametrize("granularity", [ms.PerSample(), ms.PerGroup(2, axis=1), ms.PerGroup(2, axis=2)], ids=str)
def test_feature_maps_and_groups(granularity):
    x = np.random.default_rng(0).standard_normal((2, 6, 4, 4)).astype(np.float32)
    x[:, 4:] *= 10
    Q = ms.Split(ms.MinMax(4, granularity=granularity), at=(4,))
    assert np.array_equal(Q(x), apart(Q.parts, x, (4,)))
    assert np.array_equal(Q(torch.from_numpy(x)).numpy(), Q(x))
    if granularity == ms.PerGroup(2, axis=1):
        with pytest.raises(ValueError, match="not a multiple"):  # a group would lie in both parts
            ms.Split(Q.parts, at=(3,))(x)


def test_tokens_are_cut_along_their_features():
    x = np.random.default_rng(0).standard_normal((2, 3, 8))
    for granularity in (ms.PerSample(), ms.PerToken(), ms.PerGroup(2)):
        inner = ms.AbsMax(3, granularity=granularity)
        assert np.array_equal(ms.Split(inner, at=(4,), axis=-1)(x), apart(inner, x, (4,), axis=-1))


def test_parameters_have_one_entry_per_block_and_broadcast():
    x = np.random.default_rng(0).standard_normal((2, 6, 4, 4))
    x[1, 4:] = 0
    q = ms.Split(ms.AbsMax(4), at=(4,)).choose_qparams(x)
    assert q.scale.shape == (2, 6, 1, 1)
    assert q.zero_range.shape == (2, 2, 1, 1)  # blocks: two samples, two parts
    assert q.zero_range.sum() == 1
    assert np.array_equal(
        q.scale[:, :4], np.broadcast_to(np.abs(x[:, :4]).max((1, 2, 3), keepdims=True) / 7, (2, 4, 1, 1))
    )


@pytest.mark.parametrize("name", NAMES)
def test_declared_laws_hold(name):
    inner = make(name, 3, granularity=ms.PerSample())
    Q = ms.Split(inner, at=(2,))
    assert Q.laws.error == inner.laws.error

    @FEW
    @given(x=WIDE)
    def holds(x):
        if np.all(Q.in_domain(x)):
            for law, check in LAWS.items():
                if declared(Q, law):
                    check(Q, x, random=random_for(Q, x))

    holds()


def test_a_law_that_one_part_lacks_is_not_declared():
    Q = ms.Split((ms.AbsMax(3), ms.MinMax(3)), at=(3,))
    assert not declared(Q, "idempotent")
    assert declared(Q, "error")
    assert not declared(ms.Split((ms.AbsMax(3), ms.Static(3)), at=(3,)), "error")

    class Bold(ms.Split):
        laws = ms.AbsMax.laws

    with pytest.raises(LawBroken, match="sign"):
        LAWS["sign_equivariant"](Bold((ms.AbsMax(2), ms.MinMax(2)), at=(1,)), np.array([[1.0, -1.5, 1.5]]))


@pytest.mark.parametrize("name", NAMES)
def test_c_and_kappa_grow_with_the_dimension(name):
    """What makes the whole's c an upper bound of its parts'."""
    for bits in (2, 3, 4, 8):
        Q = make(name, bits)
        for norm in ("c", "kappa"):
            values = [getattr(Q, norm)(d) for d in (1, 2, 3, 4, 5, 8, 30, 100, 101, 1000, 10**5)]
            # Stochastic's c is a difference of numbers near 1: off by eps; floor's κ has its largest value at d = 3
            assert all(a <= b + 1e-15 for a, b in pairwise(values)), (name, bits, norm)
            split = ms.Split((Q, Q), at=(4,))
            assert getattr(split, norm)(100) == getattr(Q, norm)(100)


@pytest.mark.parametrize("recursion", list(ms.RECURSIONS))
def test_a_loop_of_a_split_is_two_loops_beside_each_other(recursion):
    rng = np.random.default_rng(0)
    inputs = np.cumsum(rng.standard_normal((8, 3, 6)) * [1, 1, 1, 1, 20, 20], axis=0)
    Q = ms.Split((ms.Static(4, scale=0.3), ms.Static(4, scale=6.0)), at=(4,))
    whole = infos(rec.run(recursion, inputs, Q))
    for part, inner in ((slice(0, 4), Q.parts[0]), (slice(4, 6), Q.parts[1])):
        for state, (_, alone) in zip(whole, rec.run(recursion, inputs[..., part], inner), strict=True):
            assert np.array_equal(state.output[..., part], alone.output)


def test_one_scale_for_both_parts_costs_the_narrow_one():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.standard_normal((1, 64)), 30 * rng.standard_normal((1, 64))], axis=1)
    narrow = [np.square((x - Q(x))[:, :64]).sum() for Q in (ms.AbsMax(4), ms.Split(ms.AbsMax(4), at=(64,)))]
    assert narrow[1] < 0.05 * narrow[0]


def test_clipped_entries_are_counted_with_their_own_parts_limits():
    parts = (ms.StaticAffine(3, low=0.0, high=7.0), ms.StaticAffine(3, low=-7.0, high=0.0))
    Q, x = ms.Split(parts, at=(2,)), np.array([[5.0, -3.0, 5.0, -3.0], [9.0, 0.0, -9.0, 0.2]])
    expected = [[False, True, True, False], [True, False, True, False]]
    for convert in (np.asarray, torch.tensor):
        a = convert(x)
        assert np.array_equal(np.asarray(Q.clipped(a, Q.choose_qparams(a))), expected)
    assert Q.limits == (-7.5, 7.5)


@pytest.mark.parametrize("Q", [ms.Split(ms.AbsMax(4), at=(1,)), ms.Split((ms.Static(4, scale=0.01),) * 2, at=(1,))])
def test_in_a_model(Q):
    """Bit-equal to a loop by hand of the layer's own inputs; NaN is found; audit counts both parts' blocks."""
    model = torch.nn.Conv2d(2, 3, 3, dtype=torch.float64).eval()
    inputs = list(walk(4))
    with modulated(model, activations=Q, where=None) as run:
        got = [model(x) for x in inputs]
        audit = run.audit()
        with pytest.raises(ValueError, match="call 4: the input is not finite"):
            model(torch.full_like(inputs[0], torch.nan))
    weight, bias = model.weight, model.bias
    conv = torch.nn.functional.conv2d
    with torch.no_grad():
        states = infos(
            rec.run("closed_loop", inputs, Q, lambda a: conv(a, weight), affine=lambda a: conv(a, weight, bias))
        )
    assert all(torch.equal(a, b.output) for a, b in zip(got, states, strict=True))
    layer = audit.layers[0]
    assert layer.quantized_calls == 3
    if Q.saturates:
        assert layer.saturated == sum(int(Q.clipped(s.residual, s.qparams).sum()) for s in states[1:]) > 0
    else:
        assert layer.blocks == 3 * 3 * 2  # calls, samples, parts


@pytest.mark.parametrize(
    ("make_it", "error", "message"),
    [
        (lambda: ms.Split(4, at=(1,)), TypeError, "takes a quantizer"),
        (lambda: ms.Split((), at=(1,)), TypeError, "takes a quantizer"),
        (lambda: ms.Split(ms.AbsMax(4), at=()), ValueError, "ascending indices"),
        (lambda: ms.Split(ms.AbsMax(4), at=(0,)), ValueError, "ascending indices"),
        (lambda: ms.Split(ms.AbsMax(4), at=(3, 3)), ValueError, "ascending indices"),
        (lambda: ms.Split((ms.AbsMax(4),) * 3, at=(3,)), ValueError, "has 2 parts, got 3"),
        (lambda: ms.Split((ms.AbsMax(4), ms.AbsMax(3)), at=(3,)), ValueError, "same bits"),
        (lambda: ms.Split((ms.AbsMax(4), ms.AbsMax(4, granularity=ms.PerBatch())), at=(3,)), ValueError, "granularity"),
        (lambda: ms.Split(ms.AbsMax(4), at=(4,))(np.ones((2, 4))), ValueError, "no index 4 on axis 1"),
        (lambda: ms.Split(ms.AbsMax(4), at=(4,), axis=2)(np.ones((2, 4))), ValueError, "on axis 2"),
        (lambda: ms.Split(ms.AbsMax(4), at=(1,))(np.array([[1.0, np.inf]])), ValueError, "not finite"),
        (lambda: ms.Split(ms.Stochastic(4), at=(1,))(np.ones((1, 2))), ValueError, "random="),
    ],
)
def test_bad_input(make_it, error, message):
    with np.errstate(invalid="ignore"), pytest.raises(error, match=message):
        make_it()
