"""Recordings: what they say of themselves, frames against statistics, pictures against numbers."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot
from matplotlib.colors import same_color
from models import small, unet, walk
from readable import defects
from torch import nn

from modiff_sim.nn import modulated, record
from modiff_sim.nn.measure.pictures import LEVELS
from modiff_sim.nn.measure.quantities import VALUES
from modiff_sim.nn.measure.statistics import Recorded
from modiff_sim.plot import style, transfer, violins
from modiff_sim.plot.lone import lone
from modiff_sim.shown import kinds


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def log():
    """Three layers (one of them twice), four calls, three samples."""
    model = small()
    with record(model, "absmax:3") as log:
        for x in walk(4):
            model(x)
    return log


class Mixed(nn.Module):
    """What can be recorded, and two classes with a weight matrix that cannot."""

    def __init__(self):
        super().__init__()
        self.first, self.attention = nn.Linear(4, 4), nn.MultiheadAttention(4, 1)
        self.norm, self.up = nn.LayerNorm(4), nn.ConvTranspose1d(1, 1, 1)

    def forward(self, x):
        return self.up(self.norm(self.first(x))[:, None])[:, 0]


def test_a_recording_names_what_it_cannot_see():
    model = Mixed()
    with record(model, "absmax:4") as log, torch.no_grad():
        assert "nothing was recorded yet" in repr(log)
        model(torch.ones(2, 4))
    assert log.layers == ["first"]
    unseen = ["attention (MultiheadAttention)", "up (ConvTranspose1d)"]
    assert log.unsupported == unseen
    assert ", ".join(unseen) in repr(log)
    assert ", ".join(unseen) in log._repr_html_()
    with modulated(model, activations="absmax:4") as run, torch.no_grad():
        model(torch.ones(2, 4))
    assert list(run.audit().unsupported) == unseen  # as the audit does
    with record(small(), "absmax:4") as all_seen:
        assert all_seen.unsupported == []
    assert "not recorded" not in repr(all_seen)


def test_a_recording_says_its_sizes(log):
    said = repr(log)
    assert said.splitlines()[0] == "Recorder: 4 layers, 4 calls, 3 samples"
    ratio = [np.median(log.stats[n, 2, "d"].norm) / np.median(log.stats[n, 2, "a"].norm) for n in log.layers]
    assert f"{np.median(ratio):.3g} of the norm of a at call 2 (median): differences" in said
    assert log._repr_html_().count("<tr>") == len(said.splitlines()) - 1 + 1 + len(log.layers)
    model = unet()
    with record(model, "absmax:3") as large, torch.no_grad():
        for t in (9, 5, 1):
            model(torch.randn(2, 1, 8, 8), t)
    assert len(large.layers) > 20
    assert len(repr(large)) <= 1500


def test_one_entry_is_short(log):
    entry = log.stats["first", 1, "d"]
    said = repr(entry)
    assert said.startswith(f"Recorded: {entry.values.count} values\n")
    assert f"{entry.values.absmax:.4g}" in said
    assert f"{np.median(entry.norm):.4g}" in said
    assert len(said.splitlines()) <= 12
    assert repr(Recorded()) == "Recorded: 0 values"


def test_the_frame_has_the_statistics(log):
    frame = log.frame()
    assert len(frame) == len(log.stats) == 4 * (4 + 3 + 3)  # differences and residuals from call 1 on
    doc = inspect.getdoc(type(log).frame)
    assert all(f'"{column}"' in doc for column in frame.columns)
    for row in frame.to_dict("records"):
        entry = log.stats[row["layer"], row["step"], row["quantity"]]
        assert row["values"] == entry.values.count
        assert (row["mean"], row["absmax"]) == (entry.values.mean, entry.values.absmax)
        assert row["norm"] == np.median(np.concatenate(entry.norms))
        for name in ("c", "kappa"):
            assert row[name] == np.median(np.concatenate(getattr(entry, name)))
    table = frame[frame["quantity"] == "r"].pivot(index="layer", columns="step", values="c").loc[log.layers]
    np.testing.assert_array_equal(table.to_numpy(), log.table("r", "c")[:, 1:])
    np.testing.assert_array_equal(log.table(), log.table("d", "absmax"))  # as of largest()


@pytest.mark.parametrize("quantity", "adr")
@pytest.mark.parametrize("value", [v for v in VALUES if v != "mean"])
def test_the_largest_are_those_of_the_frame(log, quantity, value):
    found = log.largest(quantity, value, layers=3)
    everything = log.frame()
    frame = everything[everything["quantity"] == quantity]
    every = frame.groupby("layer")[value].max().sort_values(ascending=False)
    assert [row["layer"] for row in found] == every.index[:3].tolist()
    for row in found:
        here = everything[(everything["layer"] == row["layer"]) & (everything["step"] == row["step"])]
        here = here.set_index("quantity")[value]
        assert row["value"] == here[quantity] == every[row["layer"]]
        assert row["of_median"] == pytest.approx(every[row["layer"]] / every.median())
        sizes = quantity != "a" and value in ("absmax", "norm")
        assert row["of_inputs"] == pytest.approx(row["value"] / here["a"]) if sizes else np.isnan(row["of_inputs"])
    assert found.frame()["layer"].tolist() == [row["layer"] for row in found]
    assert all(f'"{column}"' in inspect.getdoc(type(found).frame) for column in found[0])
    lines = repr(found).splitlines()
    assert lines[0].endswith("3 of 4 layers")
    assert [line.split()[0] for line in lines[2:]] == [row["layer"] for row in found]
    assert len({len(line) for line in lines[1:]}) == 1
    assert all(row["layer"] in found._repr_html_() for row in found)


def test_the_largest_of_few_layers_and_of_nothing(log):
    assert len(log.largest(layers=100)) == 4
    with pytest.raises(ValueError, match="layers must be an int >= 1"):
        log.largest(layers=0)
    with pytest.raises(ValueError, match="unknown quantity 'x'"):
        log.largest("x")
    with pytest.raises(ValueError, match="unknown value 'mean'"):
        log.largest("d", "mean")
    model = small()
    with record(model, "absmax:3") as once:
        with pytest.raises(ValueError, match=r"nothing was recorded yet"):
            once.largest()
        model(next(walk(1)))
        with pytest.raises(ValueError, match=r"no d was recorded yet: call the model .* twice"):
            once.largest()
        assert len(once.largest("a")) == 4


def test_an_empty_recording_has_an_empty_frame(log):
    with record(small(), "absmax:3") as empty:
        pass
    frame = empty.frame()
    assert len(frame) == 0
    assert frame.columns.tolist() == log.frame().columns.tolist()
    assert len(frame.groupby(["quantity", "step"])["absmax"].max()) == 0  # as the page on torch does


def test_pictures_of_a_recording_can_be_read(log):
    assert kinds(type(log.plot)) == ["violins", "sizes", "table"]
    for found in (log.plot.violins(), log.plot.sizes(), log.plot.sizes(layer="head#1"), log.plot.table("a", "norm")):
        figure = np.ravel(found)[0].figure
        figure.draw_without_rendering()
        assert defects(figure) == []


def test_violins_are_those_of_the_figure(log):
    """From the same numbers, by the same function: outlines, and the largest values."""
    axes = log.plot.violins(["first", "head"])
    assert axes.shape == (2, 2)
    assert [panel.get_title(loc="left") for panel in axes[:, 0]] == ["first", "head"]
    names, levels = ["first", "head"], np.array(LEVELS)
    data = {"layers": np.array(names), "levels": levels, "steps": np.arange(4)}
    for q in "adr":
        entries = [[log.stats.get((name, call, q)) for call in range(4)] for name in names]
        blank = np.full(len(levels), np.nan)
        data[f"quantiles_{q}"] = np.array(
            [[blank if e is None else e.values.quantiles(levels) for e in row] for row in entries]
        )
        data[f"absmax_{q}"] = np.array([[np.nan if e is None else e.values.absmax for e in row] for row in entries])
    figure, expected = style.grid(2, 2, height=4, **violins.GRID)
    violins.violins(figure, expected, data)
    for mine, its in zip(axes.flat, expected.flat, strict=True):
        assert len(mine.collections) == len(its.collections)
        for one, two in zip(mine.collections, its.collections, strict=True):
            np.testing.assert_allclose(one.get_paths()[0].vertices, two.get_paths()[0].vertices)
        for one, two in zip(mine.lines, its.lines, strict=True):
            np.testing.assert_allclose(one.get_ydata(), two.get_ydata())
            assert same_color(one.get_color(), two.get_color())
    colours = {look.colour for name, look in style.RECURSION.items() if name != "full_precision"}
    assert all(any(same_color(line.get_color(), c) for c in colours) for line in axes[0, 1].lines)


def test_sizes_are_norms(log):
    for layer in (None, "second"):
        axes = log.plot.sizes(layer=layer)
        for line, (q, look) in zip(axes.lines, style.QUANTITY.items(), strict=True):
            shown = np.asarray(line.get_ydata())
            for call in range(4):
                if q != "a" and call == 0:
                    assert np.isnan(shown[call])
                elif layer is None:
                    wanted = np.median([np.median(log.stats[name, call, q].norm) for name in log.layers])
                    assert shown[call] == pytest.approx(wanted, rel=1e-12)
                else:
                    assert shown[call] == pytest.approx(np.median(log.stats[layer, call, q].norm), rel=1e-12)
            assert same_color(line.get_color(), look.colour)
            assert line.get_label() == look.label


@given(st.lists(st.sampled_from([1.0, 0.0, np.nan, np.inf]), max_size=8))
def test_a_point_is_lone_that_no_line_reaches(y):
    found = lone(np.array(y))
    for i, value in enumerate(y):
        beside = y[max(i - 1, 0) : i] + y[i + 1 : i + 2]
        assert found[i] == (np.isfinite(value) and not np.isfinite(beside).any())


def has_marker(line):
    return line.get_marker() not in ("", "None")


def seen(line):
    """The points of a line that are visible: ends of a stretch, or marked."""
    y = np.asarray(line.get_ydata(), float)
    marked = np.asarray(line.get_markevery(), bool) if has_marker(line) else np.zeros(len(y), bool)
    return np.isfinite(y) & (~lone(y) | marked)


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_a_recording_of_few_calls_can_be_seen(calls):
    model = small()
    with record(model, "absmax:3") as short:
        for x in walk(calls):
            model(x)
    panels = short.plot.violins()
    axes = short.plot.sizes()
    for figure in (panels[0, 0].figure, axes.figure):
        figure.draw_without_rendering()
        assert defects(figure) == []
    for panel in (*panels[:, 1], axes):
        for line in panel.lines:
            assert (seen(line) == np.isfinite(np.asarray(line.get_ydata(), float))).all()
            marked = has_marker(line)
            assert marked == lone(line.get_ydata()).any()
        low, high = panel.get_xlim()
        assert not marked or low < 0 <= calls - 1 < high  # a marker at the end is whole
        assert all(tick == round(tick) for tick in panel.get_xticks())
    assert sum(seen(line).sum() for line in axes.lines) == calls + 2 * (calls - 1)


def test_a_call_between_gaps_can_be_seen():
    """Of a layer that is not called at every call of the model, statistics have gaps."""
    levels = np.array([0.0, 0.5, 1.0])
    data = {"layers": np.array(["one"]), "levels": levels, "steps": np.arange(12)}
    gaps = np.where(np.isin(np.arange(12), [1, 4, 5, 9]), 2.0, np.nan)[None]
    for q in "adr":
        data |= {f"quantiles_{q}": gaps[..., None] * levels, f"absmax_{q}": gaps}
    figure, axes = style.grid(1, 2, height=3, **violins.GRID)
    violins.violins(figure, axes, data)
    assert len(axes[0, 1].lines) == 4
    for line in axes[0, 1].lines:
        assert np.flatnonzero(line.get_markevery()).tolist() == [1, 9]
        assert seen(line).tolist() == np.isfinite(gaps[0]).tolist()


@pytest.mark.parametrize("errors", [[2.0], [0.0, 2.0], [0.0, 2.0, 3.0]])
def test_a_prediction_of_few_calls_can_be_seen(errors):
    axes = pyplot.figure().subplots()
    transfer.predicted(axes, np.array(errors), style.RECURSION["closed_loop"])
    assert seen(axes.lines[0]).tolist() == [error > 0 for error in errors]


def test_a_table_is_drawn_as_it_is(log):
    axes = log.plot.table("r", "kappa")
    (mesh,) = axes.collections
    drawn = np.ma.filled(mesh.get_array(), np.nan)
    np.testing.assert_array_equal(
        drawn.reshape(4, 4), np.where(log.table("r", "kappa") > 0, log.table("r", "kappa"), np.nan)
    )
    assert [t.get_text() for t in axes.get_yticklabels()] == log.layers
    for value, words in VALUES.items():
        drawn = log.plot.table("a", value).figure
        assert words in [axes.get_ylabel() for axes in drawn.axes]
    _, mine = pyplot.subplots()
    assert log.plot.table("a", "mean", ax=mine) is mine
    assert (mine.collections[0].get_array() < 0).any()  # not on a logarithmic scale


def test_unknown_names_of_a_recording(log):
    with pytest.raises(ValueError, match=r"unknown layer 'hed'; .* did you mean 'head'\?"):
        log.plot.violins("hed")
    with pytest.raises(ValueError, match="unknown layer 'hed'"):
        log.plot.sizes(layer="hed")
    with pytest.raises(ValueError, match="unknown quantity 'x'; known: a, d, r"):
        log.plot.table("x")
    with pytest.raises(ValueError, match=r"unknown value 'kapa'; known: .* did you mean 'kappa'\?"):
        log.plot.table("r", "kapa")
    for none in ([], ()):
        with pytest.raises(ValueError, match="name at least one of the 4 layers, such as 'first', or None for 3"):
            log.plot.violins(none)
    with record(small(), "absmax:4") as empty:
        pass
    for draw in (empty.plot.violins, empty.plot.sizes, empty.plot.table):
        with pytest.raises(ValueError, match="nothing was recorded yet"):
            draw()


def test_a_recording_without_a_quantizer_has_inputs_and_differences(log):
    model = small()
    with record(model) as plain:
        for x in walk(4):
            model(x)
    assert {quantity for _, _, quantity in plain.stats} == {"a", "d"}
    for quantity, value in (("a", "norm"), ("d", "absmax"), ("d", "kurtosis")):
        np.testing.assert_array_equal(plain.table(quantity, value), log.table(quantity, value))
    assert plain.frame()["c"].isna().all()
    assert plain.largest()[0]["layer"] == log.largest()[0]["layer"]
    assert "no quantizer was given" in repr(plain)
    assert "of r" not in plain._repr_html_()
    assert "kappa" not in repr(plain.stats["first", 1, "d"])
    assert plain.stats["first", 1, "d"].ratio("c").size == 0
    for quantity, value in (("r", "norm"), ("d", "c"), ("a", "kappa")):
        with pytest.raises(ValueError, match=r"[rck]\w* is of a quantizer.*: record\(model, 'absmax:4'\) has"):
            plain.table(quantity, value)
    for found in (plain.plot.violins("first"), plain.plot.sizes(), plain.plot.table("d", "norm")):
        figure = np.ravel(found)[0].figure
        figure.draw_without_rendering()
        assert not any("closed" in key.get_text() for legend in figure.legends for key in legend.get_texts())


def test_a_layer_that_is_always_zero_is_drawn():
    model = nn.Sequential(nn.Linear(4, 4))
    with record(model, "absmax:4") as log, torch.no_grad():
        for _ in range(3):
            model(torch.zeros(2, 4))
    assert "nan" not in repr(log)
    for found in (log.plot.violins(), log.plot.sizes(), log.plot.table("a", "norm")):
        np.ravel(found)[0].figure.draw_without_rendering()
