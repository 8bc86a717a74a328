"""Audits: what they say of themselves, frames against counts, pictures against numbers."""

import inspect

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import same_color
from models import small, walk
from readable import defects

from modiff_sim.nn import Audit, LayerCount, modulated
from modiff_sim.plot import layers as drawing
from modiff_sim.shown import kinds


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def audit():
    model = small()
    with modulated(model, activations="absmax:4", weights="absmax:8") as run:
        for x in walk(4):
            model(x)
    return run.audit()


def test_an_audit_is_short_in_text_and_a_table_in_print(audit):
    assert repr(audit).splitlines()[0] == "Audit: 3 layers, 4 model calls, 0 resets"
    assert "effective bits" in repr(audit)
    assert str(audit).splitlines()[0].startswith("layer")
    assert audit._repr_html_().count("<td>first</td>") == 1
    counts = []
    for i in range(500):
        counts.append(LayerCount(f"down_blocks.{i}.attentions.0.transformer_blocks.0.attn1.to_q", "Linear"))
        counts[-1].full(100)
    large = Audit(tuple(counts), model_calls=1, resets=0, unsupported=tuple(f"layer.{i} (Odd)" for i in range(500)),
                  excluded=tuple(f"other.{i}" for i in range(500)))  # fmt: skip
    assert len(repr(large)) <= 1500
    assert len(repr(large).splitlines()) <= 12
    assert "… and 488 more" in large._repr_html_()


def test_the_frame_of_an_audit_is_its_rows(audit):
    frame = audit.frame()
    assert frame.to_dict("records") == [pytest.approx(row, nan_ok=True) for row in audit.rows()]
    doc = inspect.getdoc(Audit.frame)
    assert all(f'"{column}"' in doc for column in frame.columns)


def test_the_picture_of_an_audit_has_its_numbers(audit):
    assert kinds(type(audit.plot)) == ["layers"]
    shares, bits = audit.plot.layers()
    shares.figure.draw_without_rendering()
    assert defects(shares.figure) == []
    rows = audit.rows()
    quantized, colour = [row["quantized_macs"] / row["macs"] for row in rows], drawing.AUDITED["quantized_macs"][1]
    drawn = [bar.get_width() for bar in shares.patches if same_color(bar.get_facecolor(), colour)]
    assert drawn == quantized
    assert [bar.get_width() for bar in bits.patches] == [row["activation_bits"] for row in rows]
    assert list(bits.lines[0].get_xdata()) == [8, 8, 8]
    assert [t.get_text() for t in shares.get_yticklabels()] == [row["layer"] for row in rows]
    assert [t.get_text() for t in shares.figure.legends[0].get_texts()] == ["on quantized activations", "weight"]
    with pytest.raises(ValueError, match="there are no layers to draw"):
        Audit((), model_calls=0, resets=0).plot.layers()
    assert Audit((), model_calls=0, resets=0).frame().columns.tolist() == audit.frame().columns.tolist()


def test_full_precision_zero_bits_and_no_call_are_three_things():
    counts = [LayerCount(name, "Linear", weight_bits=8) for name in ("zero", "exact", "never", "four")]
    counts[0].quantized(100, 0, skipped=100)
    counts[1].full(100)
    counts[3].full(100)
    counts[3].quantized(100, 4)
    shares, bits = Audit(tuple(counts), model_calls=2, resets=0).plot.layers()
    shares.figure.draw_without_rendering()
    assert defects(shares.figure) == []
    solid, hollow = ([bar for bar in bits.patches if bar.get_facecolor()[3] == alpha] for alpha in (1, 0))
    widths = [bar.get_width() for bar in solid]
    np.testing.assert_array_equal(widths, [0, np.nan, np.nan, 4])
    np.testing.assert_array_equal([bar.get_width() for bar in hollow], [np.nan, 32, np.nan, np.nan])
    assert [bar.get_y() for bar in hollow] == [bar.get_y() for bar in solid]  # each in the row of its layer
    (note,) = bits.texts
    assert note.get_text() == "not called"
    assert note.xy[1] == pytest.approx(solid[2].get_y() + solid[2].get_height() / 2)
    legend = [t.get_text() for t in shares.figure.legends[0].get_texts()]
    assert legend == ["on quantized activations", "of these, skipped", "in full precision", "weight"]


def test_a_run_in_full_precision_looks_like_it():
    model = small()
    with modulated(model, activations="identity", weights="absmax:8") as run:
        model(next(walk(1)))
    _, bits = run.audit().plot.layers()
    assert [bar.get_width() for bar in bits.patches if np.isfinite(bar.get_width())] == [32, 32, 32]
    with modulated(model, activations="zero", recursion="direct") as run:
        model(next(walk(1)))
    _, bits = run.audit().plot.layers()
    assert [bar.get_width() for bar in bits.patches] == [0, 0, 0]


def test_both_texts_say_what_their_numbers_are_of(audit):
    """A model of which half is left out: its MACs count, at 32 bits, in one number and not in the other."""
    model = small()
    with modulated(model, activations="absmax:4", weights="absmax:4", recursion="direct", where="second") as run:
        for x in walk(4):
            model(x)
    half = run.audit()
    bits, share = half.total_bits, half.total_share
    assert (half.activation_bits, half.mac_share) == (4, 1)
    assert bits == pytest.approx(4 * share + 32 * (1 - share))
    assert half.total_bops == pytest.approx(half.whole_macs * (share * 4 * 4 + (1 - share) * 32**2))
    assert half.bops_per_sample * 4 * 3 == pytest.approx(half.total_bops)  # four calls with three images each
    assert half.relative_bops == pytest.approx(half.total_bops / half.whole_macs / 32**2)
    assert f"{bits:.4g} over all MACs, 4 over the rows" in repr(half)
    each, rows = half.bops_per_sample / 1e9, half.bops / 1e9
    assert f"{each:.4g} of all MACs, per model call and sample" in repr(half)
    assert f"{rows:.4g} over all calls and samples" in repr(half)
    assert f"{bits:.4g} effective bits over all MACs (4 over the rows above)" in str(half)
    assert f"{each:.4g} GBOPs per model call and sample ({rows:.4g} in the rows above, over all calls" in str(half)
    assert half.summary()["total_bits"] == bits
    unknown = Audit(audit.layers, model_calls=4, resets=0)
    assert "- over all MACs" in repr(unknown)


def test_what_share_is_quantized_is_said_alike_in_both_texts(audit):
    assert f"{audit.total_share:.1%} of all MACs" in repr(audit)
    unknown = Audit(audit.layers, model_calls=4, resets=0, uncounted=("a: b",))
    for said in (repr(unknown), str(unknown)):
        assert "at most an unknown share of all MACs" in said
