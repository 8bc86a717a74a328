"""The claims on caching and sparsity, sampled at a small size, each with a broken variant; the table of schemes."""

import numpy as np
import pytest
from models import denoiser
from verdicts import verdict

from analysis.experiments import caching, schemes, sizes
from analysis.experiments.schemes import FULL, SCHEMES, CachingScheme
from modiff_sim import Verdict
from modiff_sim.nn import zoo
from paper_checks import _caching

HOLDS, VIOLATED, PREMISE_FAILS = Verdict.HOLDS, Verdict.VIOLATED, Verdict.PREMISE_FAILS


@pytest.fixture(scope="module", autouse=True)
def small(tmp_path_factory):
    """Few images and steps, in a store of their own, sampled when first asked for and kept for all tests."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MODIFF_OUT", str(tmp_path_factory.mktemp("out")))
    patch.setenv("MODIFF_WORKERS", "1")
    sized(patch, 6, 4)
    yield
    patch.undo()


def sized(patch, steps, images):
    """Make effort quick as small as this."""
    effort = sizes.Effort("quick", steps, images, weight_bits=(8,), n_recorded=images)
    patch.setitem(sizes.EFFORTS, "quick", effort)
    patch.setitem(schemes.IMAGES, "quick", images)


#: claim -> the fewest steps and images, and the intervals of the caches, at which it is decided
SIZES = {
    "modulation_beats_caching": (6, 4, (3,)),
    "threshold_loses_more_than_caching": (16, 4, (2,)),
    "zero_codes_are_scattered": (4, 4, ()),
    "dead_zone_against_fewer_bits": (10, 8, ()),
}


@pytest.mark.parametrize(
    ("name", "broken", "then"),
    [
        ("modulation_beats_caching", {"bits": (2,)}, VIOLATED),
        ("modulation_beats_caching", {"bits": (8,)}, PREMISE_FAILS),  # dearer than the cheapest cache
        ("threshold_loses_more_than_caching", {"thresholds": (0.02,)}, VIOLATED),
        ("zero_codes_are_scattered", {"block": "zeros"}, VIOLATED),
        ("zero_codes_are_scattered", {"least": (0.9, 0.9)}, PREMISE_FAILS),
        ("dead_zone_against_fewer_bits", {"width": 0.08}, VIOLATED),
        ("dead_zone_against_fewer_bits", {"width": 0.2}, PREMISE_FAILS),
    ],
)
def test_claims_follow_what_is_measured(name, broken, then, monkeypatch):
    steps, images, every = SIZES[name]
    sized(monkeypatch, steps, images)
    monkeypatch.setattr(schemes, "EVERY", every)
    assert verdict(name) == HOLDS
    assert verdict(name, **broken) == then


def test_a_cache_made_of_hooks(monkeypatch):
    """On a model of a few layers: bit for bit is bit for bit."""
    monkeypatch.setattr(zoo, "load", lambda name: denoiser())
    assert verdict("caching_every_n_equals_hooks") == HOLDS
    assert verdict("caching_every_n_equals_hooks", late=1) == VIOLATED


def test_what_the_schemes_skip():
    """Shares that can be counted on fingers; the full-precision scheme is full precision itself."""
    chosen = [FULL, CachingScheme("cached", 2), CachingScheme("cached", 5), CachingScheme("closed_loop", 4)]
    rows = {row["scheme"]: row for row in caching.measure("quick", chosen)}
    assert (rows[FULL]["error"] == 0).all()
    assert rows[FULL]["bits"] == 32
    assert rows[CachingScheme("cached", 2)]["skipped"] == 1 / 2
    assert rows[CachingScheme("cached", 5)]["skipped"] == 4 / 6
    assert rows[CachingScheme("closed_loop", 4)]["skipped"] == 0
    assert rows[CachingScheme("closed_loop", 4)]["bits"] == pytest.approx((32 + 5 * 4) / 6)
    for row in rows.values():
        assert row["middle"].shape == (6, 4)
        assert (row["middle"][0] == 0).all()  # the first call is in full precision everywhere
        assert np.isnan(row["zeros"]) == (row["scheme"].kind not in schemes.SPARSE)
    text = caching.table(list(rows.values()))
    assert "all layers cached, every 5" in text
    assert max(map(len, text.splitlines())) <= 110


def test_the_paired_ratio():
    rng = np.random.default_rng(0)
    below = rng.lognormal(size=64)
    assert _caching.ratio(2 * below, below) == pytest.approx((2, 2, 2))
    found, low, high = _caching.ratio(below * rng.lognormal(0, 0.5, 64), below)
    assert low < found < high
    assert low < 1 < high


def test_the_interval_of_a_ratio_of_sums_is_paired():
    """Images differ a lot, and each pair by the same factor: over the same images the ratio is always that factor."""
    below = np.random.default_rng(0).lognormal(0, 2, 64)
    assert _caching.ratio_of_sums(0.5 * below, below) == pytest.approx((0.5, 0.5, 0.5))
    found, low, high = _caching.ratio_of_sums(below * np.tile([0.25, 0.75], 32), below)
    assert found == pytest.approx((below * np.tile([0.25, 0.75], 32)).sum() / below.sum())
    assert 0.25 < low < found < high < 0.75


def test_every_scheme_has_a_label_of_its_own():
    assert len({s.label for s in SCHEMES}) == len(SCHEMES)


def test_the_command_prints_the_table(monkeypatch, capsys):
    few = (CachingScheme("cached", 2), CachingScheme("dead_zone", 0.2))
    measure = caching.measure
    monkeypatch.setattr(caching, "measure", lambda effort: measure(effort, few))
    assert caching.main(["--effort", "quick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["scheme", few[0].label, few[1].label]
    with pytest.raises(SystemExit):
        caching.main(["--effort", "huge"])
