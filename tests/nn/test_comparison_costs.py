"""What arms cost side by side: all have the same MACs of a model call, and each of these is counted at its bits."""

import numpy as np
import pytest
import torch
from models import unet
from torch import nn

import modiff_sim as ms
from modiff_sim.nn import Attention, Reuse, compare

FOUR = {"activations": "absmax:4", "weights": "absmax:4", "recursion": "direct"}
EIGHT = Attention(q=ms.AbsMax(8), k=ms.AbsMax(8), v=ms.AbsMax(8), softmax=ms.AbsMax(8))


def drawn(model, sizes=((2, 3),)):
    """A sampler: for each (images, steps) a batch, from the same noise at every call."""

    def draw(run=None):
        made = []
        for k, (images, steps) in enumerate(sizes):
            if run is not None:
                run.reset()
            x = torch.randn(images, 1, 8, 8, generator=torch.Generator().manual_seed(k))
            with torch.no_grad():
                for step in range(steps):
                    out = model(x, steps - step) if hasattr(model, "config") else model(x)
                    x = x - 0.1 * getattr(out, "sample", out)
            made.append(x)
        return torch.cat(made).clamp(-1, 1)

    return draw


class Two(nn.Sequential):
    """Two convolutions, of 72 and 144 MACs per pixel and image."""

    def __init__(self):
        super().__init__(nn.Conv2d(1, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 2, 3, padding=1), Mean())


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(1, keepdim=True)


@pytest.fixture
def two():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Two().eval()


MACS = 64 * (72 + 144)


def test_layers_that_an_arm_leaves_out_count_in_full_precision(two):
    arms = {"first": FOUR | {"where": "0"}, "all": FOUR, "second": FOUR | {"where": "2"}}
    full, *found = compare(two, arms, sample=drawn(two)).rows
    assert full["gbops"] == pytest.approx(MACS * 32 * 32 / 1e9)
    for row, share in zip(found, (1 / 3, 1, 2 / 3), strict=True):  # of the MACs
        assert row["relative_bops"] == pytest.approx(share * 4 * 4 / 32**2 + 1 - share)
        assert row["gbops"] == pytest.approx(row["relative_bops"] * full["gbops"])
        assert row["total_bits"] == pytest.approx(share * 4 + (1 - share) * 32)
        assert row["total_share"] == pytest.approx(share)


def test_a_number_of_one_name_is_the_same_in_a_table_and_in_its_audits(two):
    found = compare(
        two, {"first": FOUR | {"where": "0"}, "MoDiff": FOUR | {"recursion": "closed_loop"}}, sample=drawn(two)
    )
    for row in found.rows[1:]:
        audit = found.audits[row["arm"]]
        shared = [name for name in row if hasattr(audit, name)]
        assert set(shared) >= {"total_bits", "total_share", "relative_bops"}
        for name in shared:
            assert row[name] == getattr(audit, name), name
        assert not set(row) & {"mac_share", "activation_bits", "bops"}  # which are of an audit's rows
        assert row["gbops"] == audit.bops_per_sample / 1e9


def test_the_order_of_the_arms_and_other_arms_change_no_number(two):
    one, every = {"one": FOUR | {"where": "0"}}, {"all": FOUR}
    rows = [compare(two, arms, sample=drawn(two)).rows for arms in (one, every, one | every, every | one)]
    for mixed in rows[2:]:
        named = {row["arm"]: row for row in mixed}
        for row in (*rows[0], *rows[1]):
            assert row == named[row["arm"]]


def test_attention_counts_in_every_arm():
    model = unet()
    arms = {"layers": FOUR, "attention too": FOUR | {"attention": EIGHT}, "conv_in": FOUR | {"where": "conv_in"}}
    found = compare(model, arms, sample=drawn(model))
    full, layers, whole, first = found.rows
    products = found.audits["layers"].product_macs / 6  # 2 images, 3 steps
    macs = found.audits["layers"].summary()["macs"] / 6 + products
    assert full["gbops"] == pytest.approx(macs * 32**2 / 1e9)
    assert layers["gbops"] == pytest.approx(((macs - products) * 4 * 4 + products * 32**2) / 1e9)
    assert whole["gbops"] == pytest.approx(((macs - products) * 4 * 4 + products * 8 * 8) / 1e9)
    assert whole["gbops"] < layers["gbops"] < first["gbops"] < full["gbops"]
    assert whole["total_bits"] < layers["total_bits"] < first["total_bits"] < 32


def test_costs_are_per_sample_of_all_batches(two):
    """Ten images and then six, and fewer steps with the six: every sample of a call costs the same."""
    once = compare(two, {"all": FOUR}, sample=drawn(two)).rows
    found = compare(two, {"all": FOUR}, sample=drawn(two, [(10, 4), (6, 2)]))
    for mine, its in zip(found.rows, once, strict=True):
        for name in ("gbops", "relative_bops", "total_bits"):
            assert mine[name] == pytest.approx(its[name])
    assert found.audits["all"].samples == 4 * 10 + 2 * 6


def test_guidance_that_switches_off_half_way_costs_the_same_per_sample(two):
    def draw(run=None):
        x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            for step in range(4):
                guided = torch.cat([x, x]) if step < 2 else x
                x = x - 0.1 * two(guided)[:3]
        return x.clamp(-1, 1)

    full, found = compare(two, {"all": FOUR}, sample=draw).rows
    assert full["gbops"] == pytest.approx(MACS * 32**2 / 1e9)
    assert found["gbops"] == pytest.approx(MACS * 4**2 / 1e9)


def test_what_a_reused_branch_does_not_compute_costs_nothing():
    """Its layers have rows or not, and its attention has none: both are computed in every third call."""
    model = unet()
    exact = {"activations": "identity", "recursion": "direct", "reuse": Reuse(("mid_block",), every=3)}
    arms = {"rows": exact, "no rows": exact | {"where": lambda name, _: not name.startswith("mid_block")}}
    found = compare(model, arms, sample=drawn(model, [(2, 7)]))  # computed at calls 0, 3, 6
    full, rows, no_rows = found.rows
    audit = found.audits["rows"]
    assert audit.outside_macs == audit.product_macs  # which are counted at every call
    inside = audit.whole_macs - sum(x.macs for x in audit.layers if not x.name.startswith("mid_block"))
    wanted = 1 - 4 / 7 * inside / audit.whole_macs
    assert 0.5 < wanted < 0.9
    for row in (rows, no_rows):
        assert row["relative_bops"] == pytest.approx(wanted)
        assert row["total_bits"] == pytest.approx(32 * wanted)
        assert row["gbops"] == pytest.approx(wanted * full["gbops"])


def test_a_model_call_that_fails_counts_for_nothing(two):
    def draw(run=None):
        if run is not None:
            for bad in (torch.full((5, 1, 8, 8), torch.nan), torch.ones(2, 7, 8, 8)):
                with pytest.raises((ValueError, RuntimeError)):
                    two(bad)
        return drawn(two)(run)

    failing = compare(two, {"all": FOUR}, sample=draw)
    assert failing.audits["all"].samples == 6
    assert failing.rows == compare(two, {"all": FOUR}, sample=drawn(two)).rows


def test_a_root_without_a_forward_counts_what_is_called_of_it():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = nn.ModuleList([nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 1, 3, padding=1)]).eval()

    def draw(run=None):
        x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            for _ in range(3):
                x = x - 0.1 * parts[1](parts[0](x))
        return x.clamp(-1, 1)

    full, one, both = compare(parts, {"one": FOUR | {"where": "0"}, "both": FOUR}, sample=draw).rows
    assert full["gbops"] == pytest.approx(2 * 64 * 72 * 32**2 / 1e9)
    assert one["relative_bops"] == pytest.approx((4 * 4 / 32**2 + 1) / 2)
    assert both["relative_bops"] == pytest.approx(4 * 4 / 32**2)
    assert both["total_share"] == 1


def test_costs_that_nobody_could_count_are_unknown(two):
    forward = two.forward  # past the model's own entrance
    found = compare(two, {"all": FOUR}, sample=drawn(lambda x: forward(x)))
    full, row = found.rows
    assert np.isnan([full["gbops"], row["gbops"], row["relative_bops"], row["total_bits"]]).all()
    assert "nan" in str(found)
    assert row["psnr"] > 0


def test_the_check_for_linearity_is_no_part_of_the_model():
    """It multiplies as well, in the first call of a layer whose class has a convolution of its own."""

    class Own(nn.Conv2d):
        def _conv_forward(self, x, weight, bias):
            return super()._conv_forward(x, weight, bias) * 1.0

    own = nn.Sequential(Own(1, 1, 1), nn.Conv2d(1, 1, 1)).eval()
    full, one, every = compare(own, {"one": FOUR | {"where": "1"}, "all": FOUR}, sample=drawn(own)).rows
    assert full["gbops"] == pytest.approx(2 * 64 * 32**2 / 1e9)
    assert one["relative_bops"] == pytest.approx((4 * 4 / 32**2 + 1) / 2)
    assert every["relative_bops"] == pytest.approx(4 * 4 / 32**2)
