import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import modiff_sim as ms
from modiff_sim.quantizers.granularity import name as name_of
from modiff_sim.quantizers.granularity import parse
from modiff_sim.testing import arrays

ACTIVATION = (8, 64, 16, 16)


@pytest.mark.parametrize(
    ("granularity", "scale", "d"),
    [
        (ms.PerBatch(), (1, 1, 1, 1), 8 * 64 * 256),
        (ms.PerSample(), (8, 1, 1, 1), 64 * 256),
        (ms.PerChannel(), (1, 64, 1, 1), 8 * 256),
        (ms.PerChannel((0, 1)), (8, 64, 1, 1), 256),
        (ms.PerChannel(0), (8, 1, 1, 1), 64 * 256),
        (ms.PerToken(), (8, 64, 16, 1), 16),
        (ms.PerGroup(32, axis=1), (8, 2, 1, 16, 16), 32),
        (ms.PerGroup(4), (8, 64, 16, 4, 1), 4),
    ],
)
def test_scale_shapes_of_the_docstring(granularity, scale, d):
    assert granularity.scale_shape(ACTIVATION) == scale
    assert granularity.block_size(ACTIVATION) == d


@pytest.mark.parametrize(
    ("granularity", "shape", "message"),
    [
        (ms.PerSample(), (5,), "pass a"),
        (ms.PerToken(), (5,), "features of one token"),
        (ms.PerBatch(), (), "0-d"),
        (ms.PerChannel(3), (2, 2), "no axis 3"),
        (ms.PerGroup(3), (2, 4), "not a multiple"),
        (ms.PerGroup(32), (2, 64, 16, 16), r"one of: granularity=PerGroup\(32, axis=1\), .* SIZE dividing 16, or Per"),
        (ms.PerGroup(32), (64, 32, 3, 3), r"PerGroup\(32, axis=1\)"),  # a convolution's weight
        (ms.PerGroup(32), (32, 100), r"granularity=PerGroup\(SIZE\) with SIZE dividing 100, or PerSample\(\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(granularity, shape, message):
    with pytest.raises(ValueError, match=message):
        granularity.scale_shape(shape)


@pytest.mark.parametrize(
    ("text", "granularity", "name"),
    [
        ("sample", ms.PerSample(), "sample"),
        ("batch", ms.PerBatch(), "batch"),
        ("channel", ms.PerChannel(1), "channel"),
        ("token", ms.PerToken(), "token"),
        ("group", ms.PerGroup(32), "group:32"),
        ("group:64", ms.PerGroup(64), "group:64"),
        ("group:1", ms.PerGroup(1), "group:1"),
    ],
)
def test_names_of_granularities_and_back(text, granularity, name):
    assert parse(text) == granularity
    assert name_of(granularity) == name
    assert parse(name) == granularity


def test_every_granularity_can_be_named():
    assert {type(parse(text)) for text in ms.GRANULARITIES} == set(ms.GRANULARITIES.values())


AXIS = st.integers(-9, 9)
NAMED = st.one_of(
    st.sampled_from([ms.PerBatch(), ms.PerSample(), ms.PerToken()]),
    st.builds(ms.PerChannel, AXIS | st.lists(AXIS, max_size=4).map(tuple)),
    st.builds(ms.PerGroup, st.integers(1, 10**6), AXIS),
)


@given(granularity=NAMED)
def test_the_name_of_a_granularity_is_read_back(granularity):
    assert parse(name_of(granularity)) == granularity
    assert ms.quantizers.parse(f"absmax:4@{name_of(granularity)}").granularity == granularity


@given(text=st.from_regex(r"(batch|sample|channel|token|group)(:[1-9]\d?)?(:axis=-?\d(,\d)*,?)?", fullmatch=True))
def test_what_a_text_makes_is_named_by_a_text_that_makes_it(text):
    try:
        made = parse(text)
    except ValueError:
        return
    assert parse(name_of(made)) == made


@pytest.mark.parametrize(
    ("granularity", "name"),
    [
        (ms.PerGroup(32, axis=1), "group:32:axis=1"), (ms.PerChannel(0), "channel:axis=0"),
        (ms.PerChannel((0, 1)), "channel:axis=0,1"), (ms.PerChannel((-1,)), "channel:axis=-1,"),
        (ms.PerChannel(()), "channel:axis=,"), (ms.PerChannel((1,)), "channel:axis=1,"),
    ],
)  # fmt: skip
def test_other_axes_are_named_last(granularity, name):
    assert name_of(granularity) == name
    assert parse(name) == granularity


def test_a_granularity_of_a_users_own_is_called_what_it_calls_itself():
    class Own(ms.PerChannel):
        pass

    assert name_of(Own((0, 1))) == str(Own((0, 1)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row", f"unknown granularity 'row'; known: {', '.join(ms.GRANULARITIES)}, and group:SIZE"),
        ("", "unknown granularity ''"),
        ("Group", "unknown granularity 'Group'"),
        ("group:", "the size of a group is an int >= 1, such as group:64"),
        ("group:0", "'group:0': the size"),
        ("group:-4", "the size of a group"),
        ("group:6.4", "the size of a group"),
        ("group:²", "the size of a group"),
        ("sample:32", "only group takes a size, such as group:64; known: batch"),
        ("channel:2", "only group takes a size"),
        ("sample:axis=1", "only a channel has axes and a group one axis, as in channel:axis=0,1"),
        ("group:4:axis=0,1", "only a channel has axes and a group one axis"),
        ("channel:axis=", "only a channel has axes"),
        ("channel:axis=one", "only a channel has axes"),
        ("group:4:5", "the size of a group"),
        ("group:4:axis=1:2", "the size of a group"),
    ],
)
def test_unknown_names_are_refused_naming_the_known_ones(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(text)


@pytest.mark.parametrize("size", [0, -4, 2.5, True, "32"])
def test_group_size_must_be_a_positive_whole_number(size):
    with pytest.raises(ValueError, match="at least 1"):
        ms.PerGroup(size)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2]))
def test_blocks_do_not_see_each_other(seed, which):
    """Changing one block leaves every other block's values as they were."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((3, 4, 6))
    granularity, mine = [
        (ms.PerSample(), np.s_[0]),
        (ms.PerChannel(1), np.s_[:, 0]),
        (ms.PerGroup(3), np.s_[:, :, :3]),
    ][which]
    changed = a.copy()
    changed[mine] *= 100
    if which == 2:
        changed[mine] = a[mine]
        changed[0, 0, :3] *= 100
    Q = ms.AbsMax(3, granularity=granularity)
    same = changed == a
    assert np.array_equal(Q(changed)[same], Q(a)[same])
    assert not np.array_equal(Q(changed), Q(a))
    loud = ms.AbsMax(3, granularity=ms.PerBatch())  # the negative control: one scale for all does see it
    assert not np.array_equal(loud(changed)[same], loud(a)[same])


@pytest.mark.parametrize("kind", ms.GRANULARITIES.values(), ids=ms.GRANULARITIES)
@given(shape=st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple))
def test_every_granularity_cuts_an_array_into_blocks(kind, shape):
    """The blocked shape holds the same entries, the scale has one axis where entries share it, and d counts them."""
    granularity = kind.example()
    assert type(granularity) is kind
    blocked, axes = granularity.blocked(shape)
    assert math.prod(blocked) == math.prod(shape)
    assert set(axes) <= set(range(len(blocked)))
    scale = granularity.scale_shape(shape)
    assert all(n == (1 if i in axes else whole) for i, (n, whole) in enumerate(zip(scale, blocked, strict=True)))
    assert granularity.block_size(shape) * math.prod(scale) == math.prod(shape)
    assert hash(granularity) == hash(kind.example())
    assert granularity == kind.example()


@pytest.mark.parametrize("kind", ms.GRANULARITIES.values(), ids=ms.GRANULARITIES)
@given(x=arrays(shapes=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)), dtypes=[np.float64]))
def test_what_shares_no_scale_has_no_influence(kind, x):
    """Every block by itself is quantized as it is among the others."""
    Q = ms.AbsMax(4, granularity=kind.example())
    blocked, axes = Q.granularity.blocked(x.shape)
    blocks = x.reshape(blocked)
    for place in np.ndindex(*Q.granularity.scale_shape(x.shape)):
        one = blocks[tuple(slice(None) if i in axes else k for i, k in enumerate(place))].reshape(1, -1)
        whole = Q(x).reshape(blocked)[tuple(slice(None) if i in axes else k for i, k in enumerate(place))]
        assert np.array_equal(ms.AbsMax(4)(one).ravel(), whole.ravel())
