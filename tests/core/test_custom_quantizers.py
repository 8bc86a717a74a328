"""Quantizers made of plain functions, above all randomised ones, and how what is declared for them is refuted."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot

import modiff_sim as ms
from modiff_sim.quantizers import law_checks as laws
from modiff_sim.quantizers.random_means import POINTS, refuted
from modiff_sim.testing import arrays, check_quantizer

RANDOMISED = ms.Laws(randomised=True)


def quarters(a, u):
    """Rounds to quarters at random: small inputs lose as much as they are."""
    return np.floor(4 * a + u) / 4


def seldom(a, u):
    """Triples an entry with probability 1/10: the mean square error is 0.4 of the square, whatever the input."""
    return np.where(u < 0.1, 3 * a, a)


def together(a, u):
    """The same with one random number per sample."""
    return np.where(u[:, :1] < 0.1, 3 * a, a)


def two_kept(a, u):
    """Keeps two entries of a sample: which ones, the order of its random numbers says."""
    return np.where(u.argsort(axis=1).argsort(axis=1) < 2, a, 0)


def sparse(a, u):
    """Keeps an entry with probability 1/1000, which none of the equally spaced numbers shows."""
    return np.where(u < 0.001, a, 0)


def of_two_kept(d):
    return 1 - min(2, d) / d


# c and kappa ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fn", "declared", "law"),
    [(quarters, {"c": 1e-6, "kappa": 9.0}, "c"), (quarters, {"kappa": 9.0}, "kappa"), (quarters, {"c": 0.9}, "c"),
     (seldom, {"c": 0.38}, "c"), (together, {"c": 0.36}, "c"), (seldom, {"c": 0.4, "kappa": 1.9}, "kappa"),
     (two_kept, {"c": lambda d: 0.9 * of_two_kept(d)}, "c")],
)  # fmt: skip
def test_false_constants_of_randomised_functions_are_refuted(fn, declared, law):
    with pytest.raises(ms.LawBroken, match=f"breaks its law '{law}'"):
        check_quantizer(ms.Custom(fn, **declared))


@pytest.mark.parametrize(
    ("fn", "c"),
    [(seldom, 0.4), (together, 0.4), (two_kept, of_two_kept), (sparse, 0.999)],
)
def test_true_constants_that_every_input_attains_are_not_refuted(fn, c):
    assert check_quantizer(ms.Custom(fn, c=c), examples=60) == ["c"]


@settings(max_examples=50)
@given(x=arrays(dtypes=[np.float64]), bits=st.integers(2, 8))
def test_a_mean_over_random_bits_is_that_of_both_roundings(x, bits):
    """Entries of stochastic rounding lose f(1-f) squared steps in the mean."""
    Q = ms.Stochastic(bits)
    scale = Q.choose_qparams(x).scale
    part = x / scale - np.floor(x / scale)
    exact = np.sum(part * (1 - part) * scale**2, axis=1)

    def squares(values):
        return np.sum((x - values) ** 2, axis=1)

    allowed = x.shape[1] * scale[:, 0] ** 2 / POINTS  # every entry varies by at most scale² on the way from 0 to 1
    mean = refuted(Q, x, squares, lambda found: np.full_like(found, np.inf))
    assert np.all(np.abs(mean - exact) <= 1.01 * allowed)
    assert refuted(Q, x, squares, lambda found: found - 1.01 * exact - 2 * allowed) is None


@pytest.mark.parametrize("granularity", ["sample", "batch", "channel", "group:32"])
def test_built_in_randomised_quantizers_keep_their_laws(granularity):
    tried = check_quantizer(ms.Stochastic(3, granularity=granularity))
    assert {"c", "kappa", "unbiased"} <= set(tried)


def test_too_large_a_mean_is_seen_where_samples_share_a_scale():
    """Copies beside each other are no use there, for a function that looks at its whole input."""

    def centred(a, u):
        return np.floor(a - a.sum() + u) + a.sum()

    with pytest.raises(ms.LawBroken, match="'c'"):
        check_quantizer(ms.Custom(centred, c=0.01, granularity="batch"))


def test_bias_is_refuted_and_absent_bias_is_not():
    unbiased = ms.Laws(unbiased=True)
    assert check_quantizer(ms.Custom(quarters, kappa=1e9, laws=unbiased), examples=50) == ["c", "kappa", "unbiased"]
    assert check_quantizer(ms.Custom(lambda a: a, c=0, laws=unbiased), examples=5) == ["c", "kappa", "unbiased"]
    # 1.5e-8 of a step: no random number of 32 bits is so near to 1, and the mean is 0
    laws.LAWS["unbiased"](ms.Custom(quarters, kappa=1e9, laws=unbiased), np.array([[3.7252903e-09, 0.5]], np.float32))
    with pytest.raises(ms.LawBroken, match="off by"):
        laws.LAWS["unbiased"](ms.Custom(lambda a, u: 0 * a, c=1, laws=unbiased), np.array([[3.7e-9]], np.float32))
    for biased in (ms.Custom(seldom, c=0.4, laws=unbiased), ms.Custom(lambda a: a / 2, c=1, laws=unbiased)):
        with pytest.raises(ms.LawBroken, match="'unbiased'"):
            check_quantizer(biased)


def test_arrays_have_sizes_of_several_decades():
    found = []

    @settings(max_examples=400, database=None, derandomize=True)
    @given(x=arrays())
    def look(x):
        found.append(np.abs(x).max())

    look()
    for low in (2.0**-16, 2.0**-12, 2.0**-5, 1.0, 100.0):
        assert any(low / 4 < size < low * 4 for size in found)


# what follows, and what is declared -----------------------------------------------------------------------------------


def test_no_kappa_follows_from_a_mean():
    random, sure = ms.Custom(seldom, c=0.4), ms.Custom(lambda a: a / 2, c=0.25)
    assert (random.kappa(64), sure.kappa(64)) == (math.inf, 4.0)
    assert check_quantizer(random, examples=20) == ["c"]  # what is not promised is not tested
    assert ms.Custom(seldom, kappa=2.0).c(3) == 12.0  # kappa holds for all bits, and so c in the mean
    r = ms.simulate("random_walk:16", random, steps=6, trials=16)
    assert "max norm" not in repr(r)
    assert "2-norm" in repr(r)
    with pytest.raises(ValueError, match=r"no ratios: .*declares no kappa"):
        r.plot.ratios(norm="inf")
    assert len(r.plot.errors(norm="inf").lines) == 2


def test_the_atlas_takes_a_constant_that_is_not_promised(tmp_path):
    rows = ms.atlas.atlas([ms.Custom(seldom, c=0.4), "absmax:3"], dims=[16], trials=4, distributions="normal")
    (mine,) = rows.where(quantizer="Custom(seldom)", norm="kappa")
    assert (mine["declared"], mine["searched"]) == (math.inf, None)
    rows.save(tmp_path / "rows")
    assert ms.atlas.Atlas.load(tmp_path / "rows") == rows
    axes = rows.plot.kappa()
    low, high = axes.get_ylim()
    assert low < min(row["mean"] for row in rows if row["norm"] == "kappa") < high < math.inf
    pyplot.close(axes.figure)


def test_nothing_is_claimed_that_was_not_said():
    assert ms.Laws(randomised=True) == ms.Laws(error=None, c="upper", kappa="upper", randomised=True)
    claimed = ("idempotent", "sign_equivariant", "scale_equivariant", "zero_to_zero", "unbiased", "randomised")
    assert not any(getattr(ms.Laws(), law) for law in claimed)
    plain = ms.Custom(quarters, kappa=1e9, laws=RANDOMISED)
    assert check_quantizer(plain, examples=20) == ["c", "kappa"]
    assert check_quantizer(ms.Custom(lambda a: a + 1, kappa=1e9), examples=20) == ["c", "kappa"]


def test_two_arguments_are_random_bits():
    assert ms.Custom(seldom, c=0.4).laws.randomised
    assert ms.Custom(seldom, c=0.4, laws=ms.Laws(unbiased=True)).laws == ms.Laws(unbiased=True, randomised=True)
    for one in (lambda a: a, np.rint, lambda a, digits=0: a, abs):  # other arguments have defaults
        assert not ms.Custom(one, kappa=1).laws.randomised
    assert ms.Custom(lambda a, u=None: a, c=1, laws=RANDOMISED).laws.randomised
    with pytest.raises(TypeError, match="takes one argument, the array, or two"):
        ms.Custom(lambda a, u, v: a, c=1)
    with pytest.raises(TypeError, match="laws say randomised, but the function takes one"):
        ms.Custom(lambda a: a, c=1, laws=RANDOMISED)
    with pytest.raises(ValueError, match="declare c; 1 says"):
        ms.Custom(seldom)
    with pytest.raises(ValueError, match="in units of a scale, which a function has not"):
        ms.Custom(lambda a: a, c=1, laws=ms.Laws(error=0.5))


def test_random_numbers_of_its_own_are_found():
    rng = np.random.default_rng(0)
    with pytest.raises(AssertionError, match=r"different results for one input: .*a second argument of the function"):
        check_quantizer(ms.Custom(lambda a: np.floor(a + rng.random(a.shape)).astype(a.dtype), kappa=1e9))


def test_several_broken_laws_are_one_error():
    false = ms.Custom(lambda a: 1.5 * a + 1, c=0.1, laws=ms.Laws(idempotent=True, zero_to_zero=True))
    with pytest.raises(ms.LawBroken) as broken:
        check_quantizer(false)
    assert {law for law in ("c", "idempotent", "zero_to_zero") if f"'{law}'" in str(broken.value)} >= {
        "c",
        "idempotent",
    }


@pytest.mark.parametrize(
    ("Q", "said"),
    [(ms.Custom(seldom, c=0.4), "Custom(seldom, c=0.4, kappa=none, bits=32, randomised)"),
     (ms.Custom(np.round, kappa=1 / 3, bits=4), "Custom(round, c=d·kappa², kappa=0.3333, bits=4)"),
     (ms.Custom(np.round, c=of_two_kept, kappa=1, granularity="channel", laws=ms.Laws(zero_to_zero=True)),
      "Custom(round, c=of_two_kept(d), kappa=1, bits=32, granularity=channel, zero_to_zero)"),
     (ms.Custom(lambda a: a, c=1), "Custom(<lambda>, c=1, kappa=√(c·d), bits=32)")],
)  # fmt: skip
def test_what_is_shown_of_it_are_its_constants_and_bits(Q, said):
    assert repr(Q) == said
    assert str(Q) == said.partition(",")[0] + ")"
