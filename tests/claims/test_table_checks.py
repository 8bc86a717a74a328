"""The claims on committed rows: on rows of a known world the verdicts are that world's, and a broken variant's is not.

What the committed rows say is ``paper_checks``' business and the report's; here it is tested that verdicts follow rows.
"""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import paper_checks
from analysis.metrics import reference
from analysis.tables import measure, rows
from analysis.tables.cells import flat
from analysis.tables.layouts import TABLES
from modiff_sim import Verdict
from modiff_sim.evidence import judge
from modiff_sim.sweeps.store import StoreError
from paper_checks.images import _at_32

MODULES = {m.CLAIM.id: m for m in paper_checks.claims("practice")}
DIRECT = {32: 1.0, 8: 1.0, 6: 1.3, 4: 20.0, 3: 40.0, 2: 60.0}
CLOSED = {32: 1.0, 8: 1.0, 6: 1.0, 4: 1.02, 3: 1.04, 2: 5.0}


def frechet(cell):
    """A world in which everything that is claimed is so."""
    arm = cell.arm
    loss = (CLOSED if arm.recursion == "closed_loop" else DIRECT)[arm.bits]
    loss = loss**0.5 if cell.sampler == "ddpm" else loss
    loss *= 1.5 if arm.recursion == "open_loop" else 1.0
    loss *= 1 + 40 / cell.steps**2 if arm.recursion == "closed_loop" and arm.bits <= 3 else 1.0
    return (10 + 50 / cell.steps) * loss


def shifted(row):
    """Features of real images moved so far that their Fréchet distance is about 100 times the row's."""
    real = reference.load("fashion32").features[:384]
    step = np.sqrt(100 * row["frechet"] / real.shape[1])
    return (real + step).astype(np.float32)


@pytest.fixture
def world(monkeypatch):
    """Replace the committed rows; the argument is how far three seeds lie apart, relatively."""

    def make(spread=0.002, missing=None):
        def committed(model):
            found = [
                {"model": model, **flat(cell), "seed": s, "images": t.images,
                 "frechet": frechet(cell) * (1 + spread * (s - 1) * (1 if cell == cell.full else -1))}
                for t in TABLES.values() if t.model == model for cell in t.measured if cell != missing for s in t.seeds
            ]  # fmt: skip
            features = {str(i): shifted(found[i]) for i in range(0, len(found), 3)} if model == "fashion32" else {}
            return rows.Rows(measure.MeasuredRows(found, [], {}, features), {"features": "made up"})

        monkeypatch.setattr(rows, "committed", committed)

    return make


def verdict(name, **overrides):
    return judge(MODULES[name].CLAIM, MODULES[name].check(**overrides)).verdict


BROKEN = [
    ("table_1_cliff", {"pairs": (("static direct", "static direct"),), "claimed": (1,)}),
    ("table_1_cliff_as_large", {"claimed": (4, 4)}),
    ("few_steps_break_fast_solvers", {"few": "100 steps", "many": "5 steps"}),
    ("table_1_never_worse", {"better": "direct", "than": "closed"}),
    ("open_loop_worse_than_direct", {"judged": "direct", "by": "open loop"}),
    ("ddpm_improves_less", {"first": "DDPM", "second": "DDIM"}),
    ("few_steps_break_it", {"few": "100 steps", "many": "5 steps"}),
    ("six_bits_at_twenty_steps", {"column": "direct", "row": "W8A4"}),
    ("at_32_three_bits", {"row": "W8A4 direct"}),
    ("at_32_open_loop", {"judged": "direct", "by": "open loop"}),
    ("at_32_ddpm_improves_less", {"first": "DDPM 50", "second": "DDIM 50"}),
    ("at_32_few_steps", {"few": "DDIM 50", "many": "DDIM 10"}),
]


@pytest.mark.parametrize(("name", "broken"), BROKEN, ids=[name for name, _ in BROKEN])
def test_the_verdict_follows_the_rows(world, name, broken, monkeypatch):
    world()
    if hasattr(MODULES[name], "product"):  # the intervals of the made-up features are narrow at any number of resamples
        monkeypatch.setattr(MODULES[name], "product", partial(_at_32.product, resamples=20))
    assert verdict(name) == Verdict.HOLDS
    assert verdict(name, **broken) == Verdict.VIOLATED


def test_repeated_inputs_are_compared_with_the_exact_start(world, monkeypatch):
    world()
    assert verdict("warm_ups_suffice") == Verdict.HOLDS
    exact = TABLES["18"].cells["W8A4", "first call exact"]
    good = frechet
    monkeypatch.setitem(globals(), "frechet", lambda cell: good(cell) / (2 if cell == exact else 1))
    assert verdict("warm_ups_suffice") == Verdict.VIOLATED


def test_seeds_far_apart_decide_nothing(world):
    world(spread=0.9)
    assert verdict("six_bits_at_twenty_steps") == Verdict.NOT_RUN


def test_a_cell_that_was_not_measured_is_an_error_not_a_verdict(world):
    world(missing=TABLES["fashion32"].cells["W8A3 closed loop", "DDIM 50"])
    with pytest.raises(StoreError, match="no features of W8A3 closed loop"):
        verdict("at_32_three_bits")
    world(missing=TABLES["16"].cells["W8A6", "closed loop"])
    with pytest.raises(StoreError, match="no rows of W8A6 closed loop"):
        verdict("six_bits_at_twenty_steps")


def test_the_interval_is_that_of_the_logarithms():
    from paper_checks.images._tables import judged

    logs = np.log([[1.1, 1.2, 1.4]])
    found = judged(logs, ["x"], "16", 1.0)
    mean, sem = logs.mean(), logs.std(ddof=1) / np.sqrt(3)
    # Student's t at 97.5 % and 2 degrees of freedom, from a printed table
    assert np.log([found.low[0], found.measured[0], found.high[0]]) == pytest.approx(
        [mean - 4.302653 * sem, mean, mean + 4.302653 * sem], rel=1e-6
    )


@pytest.fixture
def product_of(monkeypatch):
    """The product with its interval, of two cells with these features, against a reference that is the point 0.

    The Fréchet distance to it is the mean square of the features, in every resample.
    """

    def found(twice, once, powers=(1, -1)):
        from paper_checks.images._at_32 import product

        cells = [TABLES["fashion32"].cells[row, "DDIM 50"] for row in ("W8A4 direct", "W8A4 closed loop")]
        kept = dict(zip(cells, (twice, once), strict=True))
        point = np.zeros(once.shape[1]), np.zeros((once.shape[1],) * 2)
        monkeypatch.setattr(rows, "committed", lambda model: SimpleNamespace(features=kept.get))
        monkeypatch.setattr(reference, "load", lambda name: SimpleNamespace(moments=point))
        measured = product(dict(zip(cells, powers, strict=True)), "made up", claimed=1.0, resamples=100)
        return tuple(float(np.squeeze(x)) for x in (measured.measured, measured.low, measured.high))

    return found


def test_resamples_take_the_same_images_of_all_cells(product_of):
    """Where every image of one cell is that of the other, twice as far, a paired interval has no width."""
    once = np.random.default_rng(0).standard_normal((200, 3))
    assert product_of(2 * once, once) == pytest.approx((4, 4, 4), rel=1e-12)
    # negative controls: without the pairing of the images, and where their noise adds up, there is a width
    for features, powers in ((2 * once[::-1], (1, -1)), (2 * once, (1, 1))):
        value, low, high = product_of(features, once, powers)
        assert 0.8 * value < low < 0.95 * value < value < 1.05 * value < high < 1.25 * value
