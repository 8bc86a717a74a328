"""Results of randomised quantizers and of false declarations: who is blamed, in text and in pictures."""

import re

import numpy as np
import pytest
from matplotlib import pyplot
from readable import defects

import modiff_sim as ms
from modiff_sim import bounds
from modiff_sim.simulation.against_bounds import compared

SMALL = ms.processes.random_walk(64, sigma=0.01)


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def quarters(a, u):
    return np.floor(4 * a + u) / 4


def seldom(a, u):
    """Has a mean of 1.2a, and loses 0.4 of the square of every input in the mean."""
    return np.where(u < 0.1, 3 * a, a)


def clipped(a):
    return np.clip(np.round(4 * a) / 4, -2, 2)


def labels(axes):
    (legend,) = axes.figure.legends
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("recursion", ["closed_loop", "open_loop", "direct"])
def test_a_false_c_of_a_randomised_quantizer_is_not_blamed_on_the_theorem(recursion):
    inputs = np.full((50, 32, 64), 0.01) if recursion == "direct" else SMALL
    r = ms.simulate(inputs, ms.Custom(quarters, c=1.0), recursion, steps=50, trials=32)
    found = compared(r, "2")
    start = found["worst"]["premise_fails_from"]
    assert start == (0 if recursion == "direct" else 1)
    mean, chance = r.c[start].mean(), 4 * r.c[start].std(ddof=1) / np.sqrt(32)
    assert mean - chance > 1
    assert found["holds"][start:] == [None] * (50 - start)
    assert found["worst"]["holds"] is not False
    said = f"none is promised from call {start} on, where mean c > declared c + 4 standard errors"
    assert re.search(rf"of its bound, 2-norm +{re.escape(said)}\n?", repr(r))
    axes = r.plot.errors()
    assert labels(axes)[-1].endswith(", mean loss above the declared c")
    assert not any("bound" in label for label in labels(axes))
    (shade,) = axes.patches
    assert shade.get_x() == start - 0.5
    assert len(r.plot.ratios().patches) == 1


@pytest.mark.parametrize("recursion", ["closed_loop", "open_loop", "direct"])
def test_a_true_c_that_every_input_attains_is_not_refuted(recursion):
    for seed in range(5):
        r = ms.simulate("random_walk:64", ms.Custom(seldom, c=0.4), recursion, steps=30, trials=64, seed=seed)
        worst = compared(r, "2")["worst"]
        assert (worst["premise_fails_from"], worst["holds"]) == (None, True)
        assert re.search(r"2-norm +\S+ at most, of root mean squares: it holds up to 4 standard errors", repr(r))
        assert not r.plot.errors().patches


def test_squares_add_up_only_where_there_is_no_bias():
    """A quantizer that makes 9 of 10 entries half as large again leaves the same error at each call of a ramp."""
    biased = ms.Custom(lambda a, u: np.where(u < 0.9, 1.5 * a, a), c=0.225)
    ramp = np.arange(60)[:, None, None] * np.ones((64, 64))
    r = ms.simulate(ramp, biased, "open_loop", steps=60, trials=64)
    assert np.all(r.error[-1] > bounds.stochastic_open_loop(r.d[1:], omega=0.225)[-1])
    limit = bounds.sharp_open_loop(r.d[1:], 0.225)
    np.testing.assert_allclose(compared(r, "2")["bound"][1:], np.sqrt(np.mean(limit**2, axis=1)))
    assert compared(r, "2")["worst"]["holds"]
    unbiased = ms.Custom(quarters, kappa=1e3, laws=ms.Laws(unbiased=True))
    other = ms.simulate("random_walk:64", unbiased, "open_loop", steps=10, trials=16)
    limit = bounds.stochastic_open_loop(other.d[1:], omega=unbiased.c(64))
    np.testing.assert_allclose(compared(other, "2")["bound"][1:], np.sqrt(np.mean(limit**2, axis=1)))


def test_a_split_with_a_biased_part_has_the_sharp_bound():
    Q = ms.Split((ms.Stochastic(4), ms.Floor(4)), at=(32,))
    r = ms.simulate("random_walk:64", Q, steps=20, trials=64)
    limit = bounds.sharp_closed_loop(r.d[1:], Q.c(64))
    np.testing.assert_allclose(compared(r, "2")["bound"][1:], np.sqrt(np.mean(limit**2, axis=1)))


def test_the_rule_is_said_whatever_the_verdict(monkeypatch):
    few = ms.simulate("random_walk:8", "stochastic:4", steps=5, trials=7)
    assert re.search(r"of root mean squares: not decided, with under 8 independent trials", repr(few))
    monkeypatch.setattr(bounds, "stochastic_closed_loop", lambda d, **options: 0.01 * d)
    r = ms.simulate("random_walk:8", "stochastic:4", steps=5, trials=32)
    assert re.search(r"at most, of root mean squares: it is exceeded by over 4 standard errors", repr(r))


@pytest.mark.parametrize("fn", [lambda a, u: a + (u < 0.5), lambda a: a + 1])
def test_a_zero_that_does_not_stay_zero_refutes_every_c(fn):
    still = np.ones((4, 16, 8))  # differences of 0
    for keep in ("trials", "summary"):
        r = ms.simulate(still, ms.Custom(fn, c=100.0), "open_loop", steps=4, trials=16, keep=keep)
        assert r.summary().max["c"][1] == np.inf
    r = ms.simulate(still, ms.Custom(fn, c=100.0), "open_loop", steps=4, trials=16)
    assert "none is promised from call 1 on" in repr(r)
    assert np.all(r.c[1] == np.inf)


@pytest.mark.parametrize("norm", ["2", "inf"])
def test_the_legend_says_which_declaration_is_exceeded_and_fits(norm, tmp_path):
    Q = ms.Custom(clipped, bits=4, **({"c": 0.5} if norm == "2" else {"kappa": 0.2}))
    axes = ms.simulate(SMALL, Q, steps=50).plot.errors(norm=norm)
    constant = {"2": "c", "inf": "κ"}[norm]
    names = ["closed loop, mean", "closed loop, largest", f"closed loop, loss above the declared {constant}"]
    assert labels(axes) == names
    axes.figure.savefig(tmp_path / "e.png")
    (legend,) = axes.figure.legends
    box, whole = legend.get_window_extent(), axes.figure.bbox
    assert 0 <= box.x0 < box.x1 <= whole.x1
    assert defects(axes.figure) == []
