"""The claims on committed rows: on rows of a known world the verdicts are that world's, and a broken variant's is not.

What the committed rows say is ``paper_checks``' business and the report's; here it is tested that verdicts follow rows.
"""

from functools import cache
from zlib import crc32

import numpy as np
import pytest
from verdicts import MODULES, verdict

from analysis.tables import measure, rows
from analysis.tables.cells import flat
from analysis.tables.layouts import TABLES
from modiff_sim import Verdict
from modiff_sim.metrics.jackknife import estimate
from modiff_sim.sweeps.store import StoreError
from paper_checks import _rows

DIRECT = {32: 1.0, 8: 1.0, 6: 1.3, 4: 20.0, 3: 40.0, 2: 60.0}
CLOSED = {32: 1.0, 8: 1.0, 6: 1.0, 4: 1.02, 3: 1.04, 2: 5.0}
GROUPS = 16
BIAS = 12_000  # of a distance, times the number of images
SAME = (("steps", ("ddim, W8A3 closed loop", "50 steps")), ("5", ("W8A3", "DDIM closed")))
HOLDS, VIOLATED = Verdict.HOLDS, Verdict.VIOLATED


def frechet(cell):
    """A world in which what is claimed is so, but for the order of Table 4 with all layers and for fast solvers."""
    arm = cell.arm
    loss = (CLOSED if arm.recursion == "closed_loop" else DIRECT)[arm.bits]
    if arm.recursion == "closed_loop" and arm.bits == 3:
        loss += (0.3 if arm.scale == "sample" else 0.0) + 40 / cell.steps**2
        loss += 0.3 if arm.layers == "all" and (cell.steps, cell.spacing) == (100, "quad") else 0.0
    if arm.recursion == "open_loop":
        loss *= 100.0 if arm.layers == "all" else 0.5
    if cell.sampler == "ddpm":
        loss = (
            3 * loss if arm.recursion == "open_loop" else 1 + (loss - 1) * (0.6 if arm.recursion == "direct" else 1.2)
        )
    return (10 + 50 / cell.steps) * loss


def share(cell):
    """Precision and recall of that world: they fall where the distance is large."""
    broken = 0.8 if cell.sampler.startswith("dpm") and cell.steps == 5 else 1.0
    return 0.9 * broken / (1 + frechet(cell) / 3000)


def noise(seed):
    """One number per group, with mean 0."""
    found = np.random.default_rng(seed).standard_normal(GROUPS)
    return found - found.mean()


@pytest.fixture
def world(monkeypatch):
    """Replace the committed rows; the arguments are how far the groups lie apart, in common and by cell."""

    def make(common=0.01, own=0.001, missing=None):
        @cache
        def committed(model, folder=None):
            found, left_out = [], {"names": np.array(["frechet", "precision", "recall", "psnr"])}
            every = (each for t in TABLES.values() if t.model == model for each in t.wanted)
            wanted = {(cell, n): None for cell, n, _ in every}
            for i, (cell, images) in enumerate((cell, n) for cell, n in wanted if cell != missing):
                of_all, of_it = noise(0), noise(crc32(f"{cell} {images}".encode()))  # whatever else is measured
                values = np.array([frechet(cell), share(cell), share(cell), 60 - 10 * np.log10(frechet(cell))])
                pseudo = values[:, None] * (1 + common * of_all + own * of_it)
                shown = values + np.array([BIAS / images, 0, 0, 0])  # of all images; pseudo-values are without the bias
                about = dict(zip(left_out["names"].tolist(), shown, strict=True))
                found.append({"model": model, **flat(cell), "seed": 0, "images": images, **about})
                left_out[str(i)] = (GROUPS * shown[:, None] - pseudo) / (GROUPS - 1)
            return rows.Rows(measure.MeasuredRows(found, [], {}, left_out), {"features": "made up"})

        monkeypatch.setattr(rows, "committed", committed)

    return make


CASES = [
    ("closed_loop_four_bits", HOLDS, {"column": "all layers: direct"}, VIOLATED),
    ("direct_four_bits", HOLDS, {"column": "all layers: closed loop"}, VIOLATED),
    ("three_bits_without_loss", HOLDS, {"arm": "open loop"}, VIOLATED),
    ("three_bits_all_layers", VIOLATED, {"selections": ("convolutions",)}, HOLDS),
    ("three_bits_per_sample", HOLDS, {"row": "W8A4"}, VIOLATED),
    ("ablation_order_costly_layers", HOLDS, {"arms": ("open loop", "direct", "closed loop")}, VIOLATED),
    ("ablation_order_costly_layers", HOLDS, {"selections": ("all layers",)}, VIOLATED),
    ("ablation_order_costly_layers", HOLDS, {"arms": ("closed loop", "closed loop")}, Verdict.PREMISE_FAILS),
    ("ablation_order_three_bits", HOLDS, {"arms": ("open loop", "direct", "closed loop")}, VIOLATED),
    ("ablation_order_all_layers", VIOLATED, {"arms": ("open loop", "direct", "closed loop")}, HOLDS),
    ("open_loop_by_layers", HOLDS, {"by": "convolutions", "without": ("no time path",)}, VIOLATED),
    ("open_loop_by_sampler", HOLDS, {"better": "DDPM"}, VIOLATED),
    ("open_loop_by_sampler", HOLDS, {"layers": "all layers"}, VIOLATED),
    ("open_loop_refreshed", HOLDS, {"judged": "direct", "by": "open loop"}, VIOLATED),
    ("open_loop_refreshed", HOLDS, {"layers": "convolutions"}, VIOLATED),
    ("compensation_helps", HOLDS, {"best": "open loop", "others": ("closed loop",)}, VIOLATED),
    ("table_1_cliff", HOLDS, {"pairs": (("static direct", "static direct"),), "claimed": (1,)}, VIOLATED),
    ("table_1_cliff_as_large", HOLDS, {"claimed": (4, 4)}, VIOLATED),
    ("eight_bits_cost_nothing", HOLDS, {"better": "direct", "than": "closed", "row": "W8A4"}, VIOLATED),
    ("ddpm_improves_less", HOLDS, {"first": "DDPM", "second": "DDIM"}, VIOLATED),
    ("few_steps_remain_effective", HOLDS, {"better": "direct", "than": "closed"}, VIOLATED),
    ("few_steps_break_it", HOLDS, {"few": "50 steps", "many": "10 steps"}, VIOLATED),
    ("few_steps_break_fast_solvers", Verdict.PREMISE_FAILS, {"few": "10 steps"}, HOLDS),
    ("six_bits_at_twenty_steps", HOLDS, {"column": "direct", "row": "W8A4"}, VIOLATED),
    ("warm_ups_suffice", HOLDS, {"fed": ("direct",)}, VIOLATED),
    ("exact_start_is_not_the_gain", HOLDS,
     {"better": "direct, first call exact", "than": "closed, first call exact"}, VIOLATED),
    ("precision_and_recall", HOLDS, {"better": "open loop", "than": "closed loop"}, VIOLATED),
    ("precision_and_recall_four_bits", HOLDS, {"better": "direct", "than": "closed loop"}, VIOLATED),
    ("at_32_four_bits", HOLDS, {"row": "W8A4 direct, channel scales"}, VIOLATED),
    ("at_32_four_bits_all_layers", HOLDS, {"row": "W8A4 direct, channel scales"}, VIOLATED),
    ("at_32_direct_four_bits", HOLDS, {"row": "W8A4 closed loop, channel scales, convolutions"}, VIOLATED),
    ("at_32_three_bits", HOLDS, {"row": "W8A3 closed loop, channel scales"}, VIOLATED),
    ("at_32_three_bits_all_layers", VIOLATED, {"row": "W8A3 closed loop, channel scales, no time path"}, HOLDS),
    ("at_32_three_bits_per_sample", VIOLATED, {"row": "W8A4 closed loop, channel scales"}, HOLDS),
    ("at_32_open_loop", HOLDS, {"judged": "direct", "by": "open loop"}, VIOLATED),
    ("at_32_open_loop", HOLDS, {"by": "open loop"}, Verdict.PREMISE_FAILS),
    ("at_32_open_loop_convolutions", HOLDS, {"judged": "open loop", "by": "direct"}, VIOLATED),
    ("at_32_ddpm_improves_less", HOLDS, {"first": "DDPM 50", "second": "DDIM 50"}, VIOLATED),
    ("at_32_few_steps", HOLDS, {"few": "DDIM 50", "many": "DDIM 10"}, VIOLATED),
    ("in_colour_three_bits", HOLDS, {"row": "W8A4 direct, channel scales"}, VIOLATED),
    ("in_colour_four_bits", HOLDS, {"row": "W8A4 direct, channel scales"}, VIOLATED),
    ("in_colour_four_bits_all_layers", HOLDS, {"row": "W8A4 open loop, channel scales"}, VIOLATED),
    ("in_colour_direct_four_bits", HOLDS, {"row": "W8A4 closed loop, channel scales, convolutions"}, VIOLATED),
    ("in_colour_open_loop", HOLDS, {"order": ("direct", "open loop")}, VIOLATED),
    ("in_colour_open_loop_convolutions", HOLDS, {"order": ("open loop", "direct")}, VIOLATED),
    ("in_colour_three_bits_per_sample", VIOLATED, {"row": "W8A4 closed loop, channel scales"}, HOLDS),
    ("in_colour_few_steps_remain_effective", HOLDS, {"order": ("W8A4 closed loop", "W8A4 direct")}, VIOLATED),
    ("in_colour_six_bits_at_twenty_steps", HOLDS, {"row": "W8A4 direct"}, VIOLATED),
    ("in_colour_table_4_order", HOLDS, {"order": ("closed loop", "open loop", "direct")}, VIOLATED),
]  # fmt: skip


@pytest.mark.parametrize(("name", "found", "broken", "then"), CASES, ids=[case[0] for case in CASES])
def test_the_verdict_follows_the_rows(world, name, found, broken, then):
    world()
    assert verdict(name) == found
    assert verdict(name, **broken) == then


def test_groups_far_apart_decide_nothing(world):
    world(own=4.0)
    for name in ("six_bits_at_twenty_steps", "table_1_cliff", "ddpm_improves_less"):
        assert verdict(name) == Verdict.NOT_RUN


def test_arms_that_have_both_failed_are_not_compared(world, monkeypatch):
    monkeypatch.setitem(globals(), "share", lambda cell: 0.9 if cell == cell.full else 0.4)
    world()
    assert verdict("ablation_order_costly_layers") == Verdict.PREMISE_FAILS


def test_a_cell_that_was_not_measured_is_an_error_not_a_verdict(world):
    world(missing=TABLES["fashion32"].cells["W8A3 closed loop", "DDIM 50"])
    with pytest.raises(StoreError, match="no rows of W8A3 closed loop"):
        verdict("at_32_three_bits_per_sample")
    world(missing=TABLES["16"].cells["W8A6", "closed"])
    with pytest.raises(StoreError, match="no rows of W8A6 closed loop"):
        verdict("six_bits_at_twenty_steps")


def test_cells_near_a_mark_are_judged_by_the_most_images_that_they_share():
    """Each group is complete: what is compared with the same weights alone; others have the images of their table."""
    for name, table in TABLES.items():
        for images, group in table.closer.items():
            assert images > table.images, name
            assert set(group) <= set(table.measured)
            assert all(cell == cell.full or cell.weights_only in group for cell in group)
            assert {(cell, images, table.seed) for cell in group} <= set(table.wanted)
    eight, six, few = _rows.cells("1", ("W8A8", "static direct"), ("W8A6", "static direct"), ("W8A6", "channel closed"))
    assert _rows.images_of("1", eight, six) == 8 * 2048
    assert _rows.images_of("1", eight, few) == 2 * 2048
    assert _rows.images_of("1", six, few) == 2048
    assert _rows.excess("1", six, eight).groups == 8 * 16  # of the committed rows, a pseudo-value per micro-batch
    (swept,), (fifty,) = (_rows.cells(*place) for place in SAME)
    assert swept == fifty
    assert _rows.images_of("steps", swept) == 4 * 2048  # the same cell is in another table, with more images
    with pytest.raises(ValueError, match=r"no table of 'digits' measures .* alike"):
        _rows.images_of("1", eight, _rows.cells("fashion32", ("W8A32", "DDIM 10"))[0])


def test_an_excess_is_paired(world):
    world(common=0.3)
    (cell,) = _rows.cells("16", ("W8A4", "direct"))
    found = _rows.excesses("16", [(cell, cell.full)])
    assert found.measured[0] == pytest.approx(frechet(cell) - frechet(cell.full))
    # what the groups have in common is in proportion to the difference; unpaired it would be to the sum
    width = (found.high[0] - found.low[0]) / found.measured[0]
    assert 0.5 * 0.3 < width < 1.5 * 0.3
    assert found.params["images"] == 2048


def test_a_loss_is_in_units_of_full_precision_without_bias_and_with_the_error_of_the_unit(world):
    (cell,) = _rows.cells("16", ("W8A4", "direct"))
    world()
    found = _rows.losses("16", [(cell, cell.full)], claimed=0.0)
    assert found.measured[0] == pytest.approx(frechet(cell) / frechet(cell.full) - 1)
    assert found.params["unit"].startswith("full precision (ddim, 20 steps, quad) ")
    assert _rows.value("16", cell.full) == pytest.approx(frechet(cell.full) + BIAS / 2048)  # about half of it is bias
    world(common=0.0, own=0.1)
    loose, excess = _rows.losses("16", [(cell, cell.full)], claimed=0.0), estimate(_rows.excess("16", cell, cell.full))
    assert loose.high[0] - loose.low[0] > 1.2 * (excess.high - excess.low) / frechet(cell.full)


def test_a_unit_that_cannot_be_told_from_zero_decides_nothing(world):
    world(own=4.0)
    (cell,) = _rows.cells("16", ("W8A6", "closed"))
    found = _rows.losses("16", [(cell, cell.weights_only)], claimed=0.1)
    assert (found.low[0], found.high[0]) == (-np.inf, np.inf)


def test_the_distance_of_a_cell_is_that_of_full_precision_and_what_it_exceeds_it_by(world):
    world(common=0.3)
    (cell,) = _rows.cells("1", ("W8A6", "static closed"))
    found = _rows.distance("1", cell)
    assert found.value == pytest.approx(frechet(cell))
    assert set(found.parts) == {GROUPS}  # in this world every cell has as many groups


def test_every_claim_on_rows_is_tested_here():
    helpers = {"excesses", "excess", "losses", "loss", "relative", "judged", "order", "gain_over_gain"}
    images = {name: module for name, module in MODULES.items() if ".images." in module.__name__}
    on_rows = {name for name, module in images.items() if helpers & set(vars(module))}
    assert len(on_rows) > 20
    assert on_rows - {"table_1_four_bit_weights"} <= {case[0] for case in CASES}  # which only says what is missing
