"""Zeros of what is quantized: every number against loops over the products themselves."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import shallow, small, walk
from torch import nn

import modiff_sim as ms
from modiff_sim import Threshold
from modiff_sim.nn import modulated, sparsity
from modiff_sim.nn.layers import Operator


def conv_products(module, shape):
    """Input index -> how many products of the layer it enters, one sample, by walking over all outputs and taps."""
    _, height, width = shape
    (kh, kw), (sh, sw), (ph, pw) = module.kernel_size, module.stride, module.padding
    per_channel = module.out_channels // module.groups
    found = np.zeros(shape, int)
    circular = module.padding_mode == "circular"
    for y, x in itertools.product(range((height + 2 * ph - kh) // sh + 1), range((width + 2 * pw - kw) // sw + 1)):
        for i, j in itertools.product(range(kh), range(kw)):
            row, column = y * sh + i - ph, x * sw + j - pw
            if circular:
                row, column = row % height, column % width
            if 0 <= row < height and 0 <= column < width:
                found[:, row, column] += per_channel
    return found


def by_loops(values, products, groups):
    """The five patterns, walking over positions, groups and channels. values, products: (positions, channels)."""
    covered, saved = dict.fromkeys(sparsity.KINDS, 0), dict.fromkeys(sparsity.KINDS, 0)
    everywhere = True
    for row, used in zip(values, products, strict=True):
        size = len(row) // groups
        for g in range(groups):
            part, weight = row[g * size : (g + 1) * size], used[g * size : (g + 1) * size]
            for v, w in zip(part, weight, strict=True):
                covered["element"] += v == 0
                saved["element"] += w * (v == 0)
            for block in (4, 16):
                for start in range(0, size, block):
                    run = part[start : start + block]
                    if all(v == 0 for v in run):
                        covered[f"block{block}"] += len(run)
                        saved[f"block{block}"] += sum(weight[start : start + block])
            for start in range(0, size, 4):
                run = part[start : start + 4]
                if sum(v != 0 for v in run) <= 2:
                    covered["group24"] += len(run)
                    saved["group24"] += max(len(run) - 2, 0) * weight[start]
                else:
                    everywhere = False
    if everywhere:
        covered["tensor24"], saved["tensor24"] = values.size, saved["group24"]
    return covered, saved


LAYERS = {
    "3x3": lambda: nn.Conv2d(5, 4, 3, padding=1),
    "stride": lambda: nn.Conv2d(4, 2, 3, stride=2, padding=1),
    "circular": lambda: nn.Conv2d(3, 2, 3, padding=1, padding_mode="circular"),
    "groups": lambda: nn.Conv2d(12, 4, 3, padding=1, groups=2),
    "depthwise": lambda: nn.Conv2d(4, 4, 3, padding=1, groups=4),
    "wide": lambda: nn.Conv2d(18, 2, 1),
    "unpadded": lambda: nn.Conv2d(2, 3, (2, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), density=st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0]))
def test_convolutions_against_loops(name, seed, density):
    module = LAYERS[name]()
    rng = np.random.default_rng(seed)
    shape = (2, module.in_channels, 4, 5)
    hat = rng.integers(1, 4, shape) * (rng.random(shape) < density)
    found = sparsity.count(torch.from_numpy(hat.astype(np.float32)), Operator("x", module, None))
    products = np.broadcast_to(conv_products(module, shape[1:]), shape)
    rows, used = (np.moveaxis(x, 1, -1).reshape(-1, shape[1]) for x in (hat, products))
    covered, saved = by_loops(rows, used, module.groups)
    assert found.covered == covered
    assert found.saved == saved
    assert (found.values, found.macs) == (hat.size, int(products.sum()))


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), features=st.integers(1, 20), density=st.sampled_from([0.0, 0.2, 0.5, 1.0]))
def test_linear_layers_against_loops(seed, features, density):
    rng = np.random.default_rng(seed)
    hat = rng.integers(-3, 0, (2, 3, features)) * (rng.random((2, 3, features)) < density)
    found = sparsity.count(torch.from_numpy(hat.astype(np.float64)), Operator("x", nn.Linear(features, 7), None))
    rows = hat.reshape(-1, features)
    covered, saved = by_loops(rows, np.full(rows.shape, 7), 1)
    assert (found.covered, found.saved) == (covered, saved)
    assert found.macs == 7 * hat.size


def test_without_padding_the_products_are_the_macs_of_the_audit():
    for module, shape in (
        (nn.Conv2d(3, 4, 3), (2, 3, 6, 6)),
        (nn.Linear(6, 4), (2, 5, 6)),
        (nn.Conv1d(3, 2, 1), (2, 3, 7)),
    ):
        operator, hat = Operator("x", module, None), torch.ones(shape)
        assert sparsity.count(hat, operator).macs == operator.macs(operator.linear(hat))


def test_all_zeros_and_none():
    for value, share in ((0.0, 1.0), (1.0, 0.0)):
        found = sparsity.count(torch.full((1, 16, 3, 3), value), Operator("x", nn.Conv2d(16, 8, 3), None))
        assert [found.share(kind) for kind in sparsity.KINDS] == [share] * 5
        assert [found.saved_share(kind) for kind in sparsity.KINDS] == [share, share, share, share / 2, share / 2]
    assert math.isnan(sparsity.Count().zero_share)
    assert math.isnan(sparsity.Count().saved_share("element"))


def test_one_run_that_does_not_comply_is_enough_for_the_tensor():
    hat = torch.zeros(2, 8)
    hat[0, :2] = 1
    operator = Operator("x", nn.Linear(8, 1), None)
    assert sparsity.count(hat, operator).saved_share("tensor24") == 0.5
    hat[0, 2] = 1
    found = sparsity.count(hat, operator)
    assert found.saved_share("tensor24") == 0
    assert found.saved_share("group24") == 0.5 * 3 / 4


# -- on a running model ----------------------------------------


def recount(model, options, inputs):
    """Zero shares per layer and call by the recursion's own observer, without anything of the module under test."""
    seen = {}
    with modulated(model, **options) as run:
        run.observers.append(lambda name, call, a, info: seen.__setitem__((name, call), info.residual_hat))
        outputs = [model(x) for x in inputs]
    return outputs, {k: float((v == 0).float().mean()) for k, v in seen.items() if v is not None}


@pytest.mark.parametrize("recursion", ms.RECURSIONS)
@pytest.mark.parametrize("Q", [ms.AbsMax(2), ms.MinMax(3), ms.DeadZone(4), ms.Zero()], ids=str)
def test_measured_along_a_run(recursion, Q):
    inputs = list(walk(5))
    outputs, expected = recount(small(), {"activations": Q, "recursion": recursion}, inputs)
    model = small()
    with modulated(model, activations=Q, recursion=recursion) as run, sparsity.measure(run) as found:
        again = [model(x) for x in inputs]
    assert all(torch.equal(a, b) for a, b in zip(outputs, again, strict=True))  # looking changes nothing
    assert run.observers == []
    assert {k: c.zero_share for k, c in found.counts.items()} == pytest.approx(expected, abs=1e-7)
    assert found.layers == ["first", "second", "head", "head#1"]
    assert found.calls == list(range(0 if recursion == "direct" else 1, 5))
    assert all(c.calls == 1 for c in found.counts.values())


def test_totals_are_weighted_by_macs_and_batches_add_up():
    model = small()
    with modulated(model, activations=ms.AbsMax(2)) as run, sparsity.measure(run) as found:
        for seed in (0, 1):
            run.reset()
            for x in walk(4, seed=seed):
                model(x)
    assert found.counts["first", 1].calls == 2
    rows, total = found.rows(), found.summary()
    assert total["macs"] == sum(row["macs"] for row in rows)
    for kind in sparsity.KINDS:
        weighted = sum(row["macs"] * row[f"saved_{kind}"] for row in rows) / total["macs"]
        assert total[f"saved_{kind}"] == pytest.approx(weighted)
    assert [row["call"] for row in found.rows(by="call")] == [1, 2, 3]
    assert len(found.rows(by="both")) == 12
    assert found.total(layer="first", call=2).values == 2 * 3 * 2 * 64
    assert str(found).splitlines()[-1].startswith("total")
    assert len(str(found).splitlines()) == 6
    with pytest.raises(ValueError, match="layer, call, both"):
        found.rows(by="channel")


def test_refreshes_are_not_counted_and_skipped_samples_are_zeros():
    model = small()
    with modulated(model, activations=ms.AbsMax(4), refresh=2) as run, sparsity.measure(run) as found:
        for x in walk(5):
            model(x)
    assert found.calls == [1, 3]
    still = [next(walk(1))] * 3
    with modulated(model, activations=ms.AbsMax(4), skip=Threshold(100.0)) as run, sparsity.measure(run) as found:
        for x in still:
            model(x)
    assert {found.total(call=c).zero_share for c in found.calls} == {1.0}


def test_a_wider_dead_zone_has_more_zeros():
    shares = []
    for width in (0.0, 0.2, 0.5):
        model = shallow()
        with (
            modulated(model, activations=ms.DeadZone(4, threshold=width)) as run,
            sparsity.measure(run) as found,
        ):
            for x in walk(4, shape=(1, 8, 8), dtype=torch.float32):
                model(x, 5)
        shares.append(found.summary()["share_element"])
    assert shares == sorted(shares)
    assert shares[-1] > shares[0] + 0.2


def test_measure_needs_a_run():
    with pytest.raises(TypeError, match=r"the run that modulated\(\) yields"), sparsity.measure(small()):
        pass
