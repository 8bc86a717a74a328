"""What is said below a table of arms: what an arm left out, where its bits went, what its numbers do not mean."""

import re

import numpy as np
import pytest
from torch import nn

import modiff_sim as ms
from modiff_sim.nn import ByLayer, compare, first_layer, last_layer, sample, with_layers, zoo
from modiff_sim.nn.plans.select import selected

ARMS = {
    "W8A8": {"activations": "absmax:8", "weights": "absmax:8", "recursion": "direct"},
    "W8A4, MoDiff": {"activations": ms.AbsMax(4), "weights": ms.AbsMax(8)},
}


@pytest.fixture(scope="module")
def model():
    return zoo.load("digits")


def test_images_that_nobody_can_rank_are_said_to_be_so(model):
    full = sample(model, images=2, steps=2, batch=2)
    drawn = iter([full, -full])
    found = compare(model, {"other": ARMS["W8A8"]}, sample=lambda run: next(drawn))
    unknown = "costs are unknown, since no call was entered through the model itself: call it as model(...)"
    said = "no arm's images resemble full precision's (relative l2 of 1 or more): quality cannot rank them"
    assert repr(found).endswith(f"\n{said}\n{unknown}")
    assert found.notes == [said, unknown]
    assert said.split("'")[0] in found._repr_html_()


def test_layers_that_no_pattern_fits_are_told(model):
    patterns = {"mid_block.*": "absmax:4", "conv_in": "identity"}
    arms = {
        "A4": {"activations": patterns, "weights": {"conv_*": "absmax:8", "mid_block.*": "absmax:8"}},
        "plan": {"activations": ByLayer(patterns, default=ms.AbsMax(4)), "weights": "absmax:8"},
        "nested": {"activations": {"*_block*": {"mid_block.*": "absmax:4"}, "*": "absmax:8"}, "weights": "absmax:8"},
        "A4, W32": {"activations": "absmax:4"},
        "A32, W32": {"activations": "identity", "recursion": "direct"},
    }
    found = compare(model, arms, images=2, steps=2, batch=2)
    names = [layer.name for layer in found.audits["A4"].layers]
    exact = [name for name in names if not name.startswith(("mid_block.", "conv_in"))]  # "identity" was asked for
    left = found.uncovered["A4"]
    assert left["activations"] == exact
    assert left["weights"] == [name for name in names if not name.startswith(("mid_block.", "conv_"))]
    assert found.uncovered["plan"] == found.uncovered["A4, W32"] == {}
    blocks = [name for name in names if name.startswith(("down_blocks", "up_blocks"))]
    assert found.uncovered["nested"] == {"activations": blocks}
    for name in exact:
        assert next(x for x in found.audits["A4"].layers if x.name == name).quantized_calls == 0
    first, second, bits, third, *last = found.notes
    assert first.startswith(f"A4: no pattern of activations fits {len(exact)} layers, which stay in full precision: ")
    assert first.endswith(f"{', '.join(exact[:3])} and {len(exact) - 3} more")
    assert second.startswith(f"A4: no pattern of weights fits {len(left['weights'])} layers")
    said = "conv_in, time_embedding.linear_1, time_embedding.linear_2 and 1 more; 4 bits in 10 other layers"
    assert bits == f"nested: activations have 8 bits in {said}"
    assert third.startswith(f"nested: no pattern of activations fits {len(blocks)} layers")
    assert last == [
        "A4, W32: weights are not quantized",
        "A32, W32: all images are equal to full precision's, since nothing was quantized",
        "A32, W32: weights are not quantized",
    ]
    assert str(found).endswith("\n".join(found.notes))
    assert "no pattern of weights" in found._repr_html_()


def test_an_arm_is_equal_where_all_of_its_images_are(model):
    """Two of three equal ones have an infinite PSNR in the median."""
    full = sample(model, images=3, steps=2, batch=3)
    some = full.copy()
    some[0] = 0.9 * some[0]
    drawn = iter([full, some, full])
    found = compare(model, {"some": ARMS["W8A8"], "all": ARMS["W8A8"]}, sample=lambda run: next(drawn))
    assert [row["equal"] for row in found.rows] == [3, 2, 3]
    assert [row["psnr"] for row in found.rows] == [np.inf] * 3
    assert [line.split()[-8] for line in str(found).splitlines()[1:4]] == ["equal", "inf", "equal"]
    assert "some: 2 of 3 images are equal to full precision's" in found.notes
    assert "all: all images are equal to full precision's" in found.notes


def test_layers_that_cannot_be_quantized_or_are_not_called_are_told():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.spare = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 1)
            self.up = nn.ConvTranspose2d(1, 1, 1)

        def forward(self, x, t):
            return self.up(self.first(x))

    arm = {"W8A8": {"activations": "absmax:8", "weights": "absmax:8"}}
    found = compare(Mixed().eval(), arm, images=2, steps=2, batch=2, shape=(1, 8, 8))
    assert found.notes[-2:] == ["W8A8: cannot be quantized: up (ConvTranspose2d)", "W8A8: never called: spare"]


def test_where_the_bits_of_the_first_and_last_layer_went_is_told(model):
    bits = {first_layer(model): "absmax:8", last_layer(model): "absmax:8", "*": "absmax:4"}
    other = with_layers(model, ms.AbsMax(4), ("conv_in", ms.AbsMax(6)), ("mid_block.*", ms.AbsMax(5)))
    arms = {"ends": {"activations": bits, "weights": bits}, "plan": {"activations": other, "weights": "absmax:8"}}
    found = compare(model, arms | ARMS, images=1, steps=2, batch=1)
    layers, middle = len(found.audits["ends"].layers), len(selected(model, "mid_block.*"))
    rest = layers - 1 - middle
    assert found.notes == [
        f"ends: activations and weights have 8 bits in conv_in, conv_out; 4 bits in {layers - 2} other layers",
        "plan: activations have 6 bits in conv_in, 5 bits in mid_block.attentions.0.to_q, mid_block.attentions.0.to_k, "
        f"mid_block.attentions.0.to_v and {middle - 3} more; 4 bits in {rest} other layers",
    ]
    assert str(found).endswith(found.notes[-1])


def test_images_outside_of_the_range_that_is_assumed_are_told(model):
    """PSNR has a peak of 2, which images of -9 to 4 do not have."""
    wide = np.linspace(-9, 4, 128, dtype=np.float32).reshape(2, 1, 8, 8)
    for full, value_range, said in (
        (wide, None, r"8\d% of the values of full precision's images lie outside of \(-1, 1\), from -9 to 4: PSNR and"),
        (wide, (-9, 4), r"images are in \(-9, 4\) and are compared on \(-1, 1\), which is what relative l2 is of$"),
        (wide, (0, 1), r"9\d% .* outside of \(0, 1\), from -9 to 4: PSNR"),
        (np.clip(wide, -1.04, 1.09), None, None),  # as samples of a trained model overshoot
    ):
        drawn = iter([full, 0.9 * full])
        options = {} if value_range is None else {"value_range": value_range}
        found = compare(model, {"W8A8": ARMS["W8A8"]}, sample=lambda run, drawn=drawn: next(drawn), **options)
        notes = [note for note in found.notes if "costs are unknown" not in note]
        assert [bool(re.match(said, note)) for note in notes[-1:]] == [True] if said else notes == []
        assert found.value_range == (value_range or (-1, 1))
