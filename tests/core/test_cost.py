"""Costs and memory against plain loops and what is really kept; the claims on them, each with broken variants."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import paper_checks
from modiff_sim import (
    AbsMax,
    GridAligned,
    MinMax,
    PerBatch,
    PerChannel,
    PerGroup,
    PerToken,
    Static,
    StaticAffine,
    Storage,
    Verdict,
    cost,
)
from modiff_sim.cost import LayerShape, ModelShapes, ProductShape
from modiff_sim.evidence import judge
from modiff_sim.recursion.storage import FloatFormat, kept_bytes
from paper_checks.cost.printed_memory import inputs_of_convolutions

counts = st.integers(0, 50)
GRANULARITIES = (None, PerBatch(), PerChannel(), PerToken(), PerGroup(2))


def layer(name="a", input=(1, 2, 4), output=(1, 3, 4), same=""):
    return LayerShape(name, "Conv1d", input, output, (3, 2, 1), 24, same)


LAYERS = (layer("a"), layer("b", (1, 6), (1, 5)), layer("b#1", (1, 6), (1, 5), same="b"))


# -- MACs and bit operations ------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.integers(1, 5))
def test_matmul_macs_count_a_triple_loop(batch_and_rows, inner):
    *batch, rows = batch_and_rows
    done = sum(inner for _ in np.ndindex(*batch, rows, 3))
    assert cost.matmul_macs((*batch, rows, 3), inner) == done == cost.linear_macs((*batch, rows, 3), inner)


def test_a_negative_number_of_terms_is_refused_and_none_cost_nothing():
    assert cost.matmul_macs((2, 3), 0) == cost.linear_macs((2, 3), 0) == 0
    with pytest.raises(ValueError, match="inner must be an int >= 0"):
        cost.matmul_macs((2, 3), -1)
    with pytest.raises(ValueError, match="in_features must be an int >= 0"):
        cost.linear_macs((2, 3), -1)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("wrong", [-1, math.nan, math.inf])
def test_bit_operations_of_what_cannot_be_counted_are_refused(place, wrong):
    numbers = [10, 8, 4]
    assert cost.bops(*numbers) == 320
    numbers[place] = wrong
    with pytest.raises(ValueError, match=("macs", "weight_bits", "activation_bits")[place]):
        cost.bops(*numbers)


@given(st.integers(0, 10**12), st.integers(0, 32), st.integers(0, 32), counts, counts, counts)
def test_a_run_is_the_sum_of_its_calls(macs, weight_bits, bits, quantized, full, skipped):
    calls = quantized + full + skipped
    each = [macs * weight_bits * bits] * quantized + [macs * weight_bits * 32] * full + [0] * skipped
    assert cost.run_bops(macs, weight_bits, bits, calls, full, skipped_calls=skipped) == sum(each)


def test_calls_in_full_precision_take_both_operands_of_a_product_at_32_bits():
    assert cost.run_bops(5, 8, 4, 10, 1, full_weight_bits=32) == 9 * 5 * 8 * 4 + 5 * 32 * 32
    assert cost.run_bops(5, 8, 4, 10) == 9 * 5 * 8 * 4 + 5 * 8 * 32  # weights stay quantized; the first call is full
    assert cost.run_bops(5, 8, 8, 10, 0) == 10 * cost.bops(5, 8, 8)


@pytest.mark.parametrize("counted", [(10, 11, 0), (10, 5, 6), (10, -1, 0), (-1, 0, 0)])
def test_calls_that_do_not_add_up_are_refused(counted):
    calls, full, skipped = counted
    with pytest.raises(ValueError, match=r"exceed 10 calls|calls must be an int >= 0"):
        cost.run_bops(5, 8, 4, calls, full, skipped_calls=skipped)


@pytest.mark.parametrize(
    ("storage", "aligned", "bits"),
    [
        (Storage(), False, 3),
        (Storage("float32", "float16"), False, 3),
        (Storage(AbsMax(8), "recompute"), False, 8),
        (Storage("float16"), False, 16),
        (Storage(AbsMax(8), "float16"), False, 16),
        (Storage(AbsMax(24)), False, 32),
        (Storage(Static(8)), False, 9),
        (Storage(Static(8)), True, 3),
    ],
)
def test_bits_of_the_operand(storage, aligned, bits):
    assert cost.operand_bits(storage, 3, aligned=aligned) == bits


# -- memory -----------------------------------------------------------------------------------------------------------


@st.composite
def kept_arrays(draw):
    """(array, form of storage): what a state may be and how it is kept."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=2, max_size=4)))
    shape = (*shape[:-1], 2 * shape[-1])  # groups of two
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    chosen = draw(st.sampled_from(GRANULARITIES))
    options = {} if chosen is None else {"granularity": chosen}
    kind = draw(st.sampled_from([AbsMax, MinMax, Static, StaticAffine, GridAligned, "float16", "float32", "native"]))
    spec = kind if isinstance(kind, str) else kind(draw(st.integers(2, 20)), **options)
    values = np.random.default_rng(draw(st.integers(0, 9))).standard_normal(shape).astype(dtype)
    return values, Storage(ref=spec).ref_format


@given(kept_arrays())
def test_bytes_are_those_of_what_is_kept(drawn):
    values, form = drawn
    predicted = cost.array_bytes(values.shape, form, itemsize=values.itemsize)
    assert predicted == kept_bytes(form.encode(values))
    packed = cost.array_bytes(values.shape, form, itemsize=values.itemsize, packed=True)
    assert packed <= predicted
    if isinstance(form, FloatFormat):
        assert packed == predicted


def test_packed_codes_share_bytes():
    form = Storage(ref=AbsMax(3)).ref_format
    assert cost.array_bytes((2, 5), form) == 10 + 2 * 4  # a byte per code, a float32 scale per sample
    assert cost.array_bytes((2, 5), form, packed=True) == math.ceil(30 / 8) + 2 * 4


def test_caches_per_layer_and_batch():
    plain = cost.cache_bytes(LAYERS)
    assert plain.rows == (("a", 32, 48), ("b", 24, 20), ("b#1", 24, 20))
    assert (plain.ref, plain.o_hat, plain.total) == (80, 88, 168)
    storage = Storage(AbsMax(8), "recompute")
    assert cost.cache_bytes(LAYERS, storage).rows == (("a", 12, 0), ("b", 10, 0), ("b#1", 10, 0))
    few = Storage(AbsMax(4), "recompute")  # codes share bytes only where it is asked for
    assert cost.cache_bytes(LAYERS, few).rows == cost.cache_bytes(LAYERS, storage).rows
    assert cost.cache_bytes(LAYERS, few, packed=True).rows == (("a", 8, 0), ("b", 7, 0), ("b#1", 7, 0))
    assert cost.cache_bytes(LAYERS, storage, 3).total == 3 * 32
    one_scale = Storage(AbsMax(8, granularity=PerBatch()), "recompute")
    assert cost.cache_bytes(LAYERS, one_scale, 3).total == 3 * 20 + 3 * 4  # its scale is not multiplied
    assert cost.cache_bytes(LAYERS, share_inputs=True).ref == 32 + 24
    assert cost.cache_bytes(LAYERS, itemsize=2).total == 84
    by_layer = cost.cache_bytes(LAYERS, lambda name: storage if name == "b" else Storage())
    assert by_layer.rows == (("a", 32, 48), ("b", 10, 0), ("b#1", 10, 0))  # occurrences are one layer
    with pytest.raises(ValueError, match="batch must be an int >= 1"):
        cost.cache_bytes(LAYERS, batch=0)


def test_totals_of_a_model():
    products = tuple(ProductShape("m", role, (1,), (1,), i) for i, role in enumerate(("qk", "softmax_v", "other"), 1))
    shapes = ModelShapes(LAYERS, products, parameters=9)
    assert (shapes.macs, shapes.attention_macs, shapes.product_macs(), shapes.product_macs("other")) == (72, 3, 6, 3)
    assert shapes.occurrences() == {"a": 1, "b": 2}
    assert cost.predict_state_bytes(shapes) == cost.predict_state_bytes(LAYERS) == 168
    assert cost.predict_state_bytes(shapes, batch=2) == cost.predict_state_bytes(LAYERS, batch=2) == 2 * 168
    largest = 2 * 4 * (8 + 12)  # input and residual, product and output of layer a
    assert cost.working_set(LAYERS) == largest
    assert cost.working_set(LAYERS, 3, itemsize=2) == 3 * largest / 2
    assert cost.peak_bytes(shapes) == 9 * 4 + 168 + largest
    assert cost.peak_bytes(shapes, batch=3, itemsize=2) == 36 + 3 * (168 + largest) / 2
    assert cost.peak_bytes(shapes, weight_bits=4) == math.ceil(4.5) + 168 + largest


# -- the claims: what they find, and what broken variants find --------------------------------------------------------

MODULES = {m.CLAIM.id: m for m in paper_checks.claims()}


def nothing(_layer):
    return 0


@pytest.mark.parametrize(
    ("name", "overrides", "then"),
    [
        ("printed_gbops", {"attention": 2.0}, Verdict.HOLDS),
        ("printed_gbops", {"attention": 0.0}, Verdict.VIOLATED),
        ("printed_gbops", {"power": 1.1}, Verdict.VIOLATED),
        ("ten_times_fewer_bops", {"account": 1}, Verdict.VIOLATED),
        ("ten_times_fewer_bops", {"bits": 4}, Verdict.VIOLATED),
        ("ten_times_over_a_run", {"bits": 2}, Verdict.VIOLATED),
        ("ten_times_against_eight_bits", {"claimed": 1.6}, Verdict.HOLDS),
        ("bops_against_eight_bits", {"bits": 2}, Verdict.VIOLATED),
        ("bops_against_eight_bits", {"bits": 4}, Verdict.VIOLATED),  # holds, but is not attained
        ("printed_memory", {"kept": nothing}, Verdict.VIOLATED),
        ("printed_memory_both_states", {"kept": inputs_of_convolutions}, Verdict.HOLDS),
        ("state_memory", {"ref_bits": 9}, Verdict.VIOLATED),
    ],
)
def test_claims_and_their_broken_variants(name, overrides, then):
    pytest.importorskip("diffusers")
    module = MODULES[name]
    judged = judge(module.CLAIM, module.check())
    assert judged.as_expected, judged.detail
    assert judge(module.CLAIM, module.check(**overrides)).verdict == then
