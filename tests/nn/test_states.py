"""The one object that owns what a run keeps between model calls: passes, snapshots, bytes."""

import pytest
import torch

from modiff_sim.nn.random_bits import RandomBits
from modiff_sim.nn.states import FIRST_PASS, KeptLayer, KeptOutput, KeptProduct, Like, PassStates, RunStates
from modiff_sim.recursion import State
from modiff_sim.recursion.bilinear import ProductState


def filled(seed=0):
    """States of a layer (2×8 and 2×4 floats), a product (2×3, 2×3, 2×2) and a branch (5), in the present pass."""
    states = RunStates(seed)
    a = torch.ones(2, 8)
    states.present.layers["conv", 0] = KeptLayer(State(a, torch.ones(2, 4), 1), Like(a), (torch.ones(9),))
    product = ProductState(torch.ones(2, 3), torch.ones(2, 3), torch.ones(2, 2), 1)
    states.present.products["attn.qk"] = KeptProduct(product, ())
    states.present.branches["mid", 0] = KeptOutput({"out": torch.ones(5), "n": 3}, [(2, 8)], 1, None)
    return states


def test_one_byte_count_for_all_parts_and_passes():
    states = filled()
    each = 4 * (16 + 8 + 6 + 6 + 4 + 5)  # buffers for the next fused step are not states
    assert states.bytes() == states.present.bytes() == each
    states.go("other")
    assert (states.bytes(), states.present.bytes(), bool(states)) == (each, 0, True)
    states.present.layers["conv", 0] = KeptLayer(State(torch.ones(3, dtype=torch.float16), None, 1))
    assert states.bytes() == each + 6


@pytest.mark.parametrize("kind", ["layers", "products", "branches"])
def test_a_pass_with_states_of_one_kind_has_states(kind):
    full = filled().present
    assert PassStates(**{kind: getattr(full, kind)})
    assert not PassStates()


def test_passes_have_states_of_their_own_and_come_back():
    states = filled()
    before = states.present
    states.go("other")
    assert not states.present
    assert states.most == 1  # the other pass has none yet
    states.present.branches["mid", 0] = KeptOutput(torch.ones(1), [], 1, None)
    states.go(FIRST_PASS)
    assert states.present is before
    assert states.most == 2
    states.forget("new")
    assert (states.where, bool(states), states.bytes(), states.most) == ("new", False, 0, 2)


def test_a_snapshot_takes_back_states_and_random_bits():
    states = filled()
    draws = [states.random.like(torch.ones(3)), states.product_random.like(torch.ones(3))]
    assert not torch.equal(*draws)  # streams of their own, from one seed
    snapshot = states.snapshot(arrays=False)
    kept = dict(states.present.layers)
    following = states.random.like(torch.ones(3)), states.product_random.like(torch.ones(3))
    states.present.layers["conv", 0] = KeptLayer(State(None, None, 7))
    states.present.layers["new", 0] = KeptLayer(State(None, None, 1))
    del states.present.products["attn.qk"]
    states.present.branches.clear()
    states.restore(snapshot)
    assert states.present.layers == kept
    assert list(states.present.products) == ["attn.qk"]
    assert list(states.present.branches) == [("mid", 0)]
    again = states.random.like(torch.ones(3)), states.product_random.like(torch.ones(3))
    assert all(torch.equal(a, b) for a, b in zip(following, again, strict=True))


def test_streams_that_differ_are_different():
    """torch's generator of the CPU looks at 32 bits of a seed; seeds from 4096 on and ``other`` lie above them."""

    def bits(seed, stream=0, **options):
        random = RandomBits(seed, **options)
        random.restart(stream)
        return tuple(random.like(torch.ones(4)).tolist())

    drawn = [bits(seed) for seed in (0, 1, 4096, 4097, -1, -4096, 2**43 - 1)]
    drawn += [bits(0, stream) for stream in (1, 2**20 - 1)] + [bits(seed, other=1 << 62) for seed in (0, 1, 4096)]
    assert len(set(drawn)) == len(drawn)
    assert bits(4096) == bits(4096)


def test_restoring_goes_back_to_the_pass_of_the_snapshot():
    states = filled()
    snapshot = states.snapshot(arrays=False)
    states.go("other")
    states.present.layers["conv", 0] = KeptLayer(State(None, None, 1))
    states.restore(snapshot)
    assert states.where == FIRST_PASS
    assert states.present.bytes() == filled().bytes()


@pytest.mark.parametrize("arrays", [False, True])
def test_arrays_are_copied_for_recursions_that_may_write_into_them(arrays):
    states = filled()
    snapshot = states.snapshot(arrays=arrays)
    states.present.layers["conv", 0].state.ref.add_(1)
    states.restore(snapshot)
    assert bool((states.present.layers["conv", 0].state.ref == 1).all()) == arrays


def test_a_state_that_shares_memory_with_input_or_output_gets_arrays_of_its_own():
    a, output = torch.ones(2, 3), torch.ones(2, 4)
    own = torch.ones(2, 3)
    kept = KeptLayer.owning(State((a[:1], own), output, 1), a, output)
    a.zero_()
    output.zero_()
    assert bool((kept.state.ref[0] == 1).all() and (kept.state.o_hat == 1).all())
    assert kept.state.ref[1] is own


def test_an_input_of_another_kind_is_named():
    like = Like(torch.ones(2, 3))
    like.check(torch.zeros(2, 3), "layer 'x'")
    for other, what in (
        (torch.ones(3, 3), r"shape changed from \(2, 3\) to \(3, 3\)"),
        (torch.ones(2, 3, dtype=torch.float64), "dtype changed from torch.float32 to torch.float64"),
        (torch.ones(2, 3, device="meta"), "device changed from cpu to meta"),
    ):
        with pytest.raises(ValueError, match=f"layer 'x': {what}.*run.reset"):
            like.check(other, "layer 'x'")
