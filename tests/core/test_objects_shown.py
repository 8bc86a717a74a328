"""Every object of the core that is handed out: text that is short, frames, and pictures that can be read."""

import inspect
import io
import re
from collections.abc import Iterable

import numpy as np
import pandas
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import same_color, to_hex
from readable import defects
from seen import unseen

import modiff_sim as ms
from modiff_sim.cli import main
from modiff_sim.contraction.atlas_rows import COLUMNS, Atlas
from modiff_sim.contraction.premises import PREMISES
from modiff_sim.plot import contraction, layers, style
from modiff_sim.quantizers.granularity import parse
from modiff_sim.shown import LEVELS, Shown, kinds
from modiff_sim.transfer.mixture import MixtureNetwork


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def recorded(layers=40):
    rng = np.random.default_rng(0)
    start = rng.standard_normal((layers, 1, 4, 16))
    drift = 0.01 * rng.standard_normal((layers, 12, 4, 16)).cumsum(axis=1)
    return {f"up_blocks.{i // 10}.resnets.{i}.conv1": a for i, a in enumerate(start + drift)}


def ran(T=12):
    exact = ms.denoisers.MixtureDenoiser(ms.mixtures.ring(), ms.schedules.linear().spaced(T))
    x = np.random.default_rng(0).standard_normal((4, 2))
    return MixtureNetwork(exact), x, ms.transfer.linear_steps(ms.samplers.ddim, exact.schedule)


def noise():
    network, x, steps = ran()
    return ms.prediction.quantization_noise(
        ms.transfer.full_precision(network, x, steps), ms.AbsMax(6), "closed_loop", network.linear
    )


def driven():
    network, x, steps = ran()
    return ms.transfer.drive(network, x, steps, [(ms.AbsMax(3), "direct")], ["mean"])[0]


def one_call():
    network, x, _ = ran()
    return ms.transfer.call_transfer(network, x, rng=np.random.default_rng(0))


#: name -> (how one is made, its kinds of pictures)
OBJECTS = {
    "Result": (lambda: ms.simulate("random_walk:8", "absmax:4", steps=300, trials=200), ["errors", "ratios"]),
    "Summary": (lambda: ms.simulate("random_walk:8", "absmax:4", steps=300, trials=200).summary(), ["errors"]),
    "Atlas": (lambda: ms.atlas.atlas(["absmax", "minmax"], range(2, 6), [8, 64], trials=2, search=False),
              ["c", "kappa", "both"]),
    "Recommendations": (lambda: ms.recommendation.recommend(recorded()), ["bits", "errors"]),
    "Recommendation": (lambda: ms.recommendation.recommend(recorded(1))[0], ["bits", "errors"]),
    "Transfer": (lambda: ms.transfer.measure_transfer(*ran()), ["gains", "result", "upstream"]),
    "CallTransfer": (one_call, ["gains", "upstream"]),
    "Prediction": (lambda: ms.prediction.predict(ms.transfer.measure_transfer(*ran()), noise()), ["errors"]),
    "Noise": (noise, None),
    "Driven": (driven, None),
}  # fmt: skip
DRAWN = [name for name, (_, pictures) in OBJECTS.items() if pictures]


@pytest.fixture(scope="module")
def objects():
    return {name: make() for name, (make, _) in OBJECTS.items()}


@pytest.mark.parametrize("name", OBJECTS)
def test_the_text_is_short_and_begins_with_the_class(objects, name):
    thing = objects[name]
    assert isinstance(thing, Shown)
    said = repr(thing)
    assert said.startswith(name)
    assert len(said.splitlines()) <= 12
    assert len(said) <= 1500
    assert "array(" not in said
    page = thing._repr_html_()
    assert page.startswith("<table>")
    assert len(page) < 10_000


@pytest.mark.parametrize("name", DRAWN)
def test_pictures_are_listed_documented_and_can_be_read(objects, name):
    plots = objects[name].plot
    assert kinds(type(plots)) == OBJECTS[name][1]
    assert dir(plots) == sorted(OBJECTS[name][1])
    for kind in dir(plots):
        doc = inspect.getdoc(getattr(plots, kind))
        assert "Returns\n-------\n" in doc
        found = getattr(plots, kind)()
        figure = np.ravel(found)[0].figure
        assert all(isinstance(axes, Axes) for axes in np.ravel(found))
        figure.draw_without_rendering()
        assert defects(figure) == [], kind
        if "ax" in inspect.signature(getattr(plots, kind)).parameters:
            _, mine = pyplot.subplots()
            assert getattr(plots, kind)(ax=mine) is mine


def listed(kind, section):
    """The names in a section of a class's docstring."""
    lines = inspect.getdoc(kind).partition(f"{section}\n---")[2].partition("\n\n")[0].splitlines()[1:]
    return {name for line in lines if line[0] != " " for name in line.partition(" : ")[0].split(", ")}


@pytest.mark.parametrize("name", DRAWN)
def test_columns_of_a_frame_are_in_its_docstring(objects, name):
    frame = objects[name].frame()
    doc = inspect.getdoc(type(objects[name]).frame)
    if "Recommendations.frame" in doc:
        doc = inspect.getdoc(ms.recommendation.Recommendations.frame)
    named = {*re.findall(r'"(\w+)"', doc)}
    if "fields of" in doc:
        named |= listed(ms.recommendation.Recommendation, "Parameters")
    if "measured quantities" in doc:
        named |= listed(ms.Result, "Attributes")
    assert len(frame) > 0
    assert {*frame.columns} - named == set()


# -- the atlas ---------------------------------------------------------------------------------------------------------


def test_the_atlas_is_a_list_that_can_be_chosen_from(objects):
    rows = objects["Atlas"]
    assert isinstance(rows, list)
    assert rows == list(rows)
    assert list(rows[0]) == list(COLUMNS)
    assert isinstance(rows[1:3], Atlas)
    assert rows[1:3] == [rows[1], rows[2]]
    chosen = rows.where(quantizer="absmax", bits=[2, 4], d=8, norm="c")
    assert chosen == [
        r for r in rows if (r["quantizer"], r["d"], r["norm"]) == ("absmax", 8, "c") and r["bits"] in (2, 4)
    ]
    assert len(chosen) == 12
    assert rows.where() == rows
    for bits in (np.array([2, 4]), np.int64(2), (b for b in (2, 4)), {2: "a", 4: "b"}.keys(), pandas.Series([2, 4])):
        wanted = [2] if np.ndim(bits) == 0 and not isinstance(bits, Iterable) else [2, 4]
        assert rows.where(bits=bits) == rows.where(bits=wanted) != []
    assert rows.where(bits=99) == []
    with pytest.raises(ValueError, match=r"unknown column of the atlas 'bit'; .* did you mean 'bits'\?"):
        rows.where(bit=3)
    assert repr(Atlas()).startswith("Atlas: 0 rows")


def test_rows_are_chosen_by_objects_as_well(objects):
    rows = ms.atlas.atlas(["absmax", "percentile"], [3, 4], [64], ["normal"], ["c"],
                          ["sample", "group:16", "group:32"], trials=2, search=False)  # fmt: skip
    for name, granularity in (("sample", ms.PerSample()), ("group:16", ms.PerGroup(16)), ("group", ms.PerGroup(32))):
        wanted = [row for row in rows if parse(row["granularity"]) == granularity]
        assert len(wanted) == 4
        for value in (name, granularity, str(granularity), [granularity], [name, "batch"]):
            assert rows.where(granularity=value) == wanted
    assert rows.where(granularity=[ms.PerSample(), "group:16"]) == [r for r in rows if "32" not in r["granularity"]]
    chosen = rows.where(quantizer=[ms.AbsMax(3), ms.Percentile(4, granularity="group:16")])
    assert [(r["quantizer"], r["bits"], r["granularity"]) for r in chosen] == [
        ("absmax", 3, "sample"), ("percentile", 4, "group:16"),
    ]  # fmt: skip
    assert rows.where(quantizer=["absmax:3@sample", "percentile:4@group:16"]) == chosen
    assert rows.where(quantizer="absmax:3") == rows.where(quantizer="absmax", bits=3)
    assert rows.where(quantizer="absmax@group:16") == rows.where(quantizer="absmax", granularity="group:16")
    assert rows.where(quantizer=ms.Percentile(4, percentile=90.0)) == []  # the rows are of the default
    assert rows.where(quantizer=ms.Split(ms.AbsMax(4), at=(2,))) == []


def test_the_frame_of_the_atlas_is_its_rows(objects):
    rows = objects["Atlas"]
    frame = rows.frame()
    for one, two in zip(frame.to_dict("records"), rows, strict=True):
        assert np.isnan(one.pop("searched"))  # None
        met = {name: one.pop(name) for name in PREMISES}
        assert one == {k: v for k, v in two.items() if k != "searched"}
        of_c = two["norm"] == "c"
        assert [pandas.isna(value) for value in met.values()] == [not of_c, not of_c, of_c]
        if of_c:
            assert (met["c_below_1"], met["c_at_most_half"]) == (two["declared"] < 1, two["declared"] <= 0.5)
        else:
            assert met["kappa_below_1"] == (two["declared"] < 1)
    assert all(f'"{column}"' in inspect.getdoc(Atlas.frame) for column in frame.columns)
    assert len(frame[frame["c_at_most_half"]]) == len(rows.where(c_at_most_half=True)) > 0
    assert rows.where(c_at_most_half=True, c_below_1=False) == []


def test_the_frame_of_the_atlas_is_the_csv_of_the_command(capsys):
    rows = ms.atlas.atlas(["absmax:3@group:4", "mxfp4_e2m1"], dims=[8, 32], distributions="normal", trials=4)
    asked = ["contraction", "--quantizer", "absmax:3@group:4", "mxfp4_e2m1", "--d", "8", "32", "--trials", "4", "--csv"]
    main([*asked, "--distribution", "normal"])
    csv = pandas.read_csv(io.StringIO(capsys.readouterr().out), dtype=dict.fromkeys(PREMISES, "boolean"))
    order = ["quantizer", "d", "norm"]
    two = [frame.sort_values(order).reset_index(drop=True) for frame in (csv, rows.frame())]
    assert len(csv) == 6  # MX has runs of 32
    pandas.testing.assert_frame_equal(*two)


def test_the_atlas_against_bits_or_dimension(objects):
    rows = objects["Atlas"]
    by_d = rows.plot.kappa()
    assert by_d.get_xlabel() == "d, entries of a sample"
    assert by_d.get_ylabel() == contraction.NORMS["kappa"]
    few = rows.where(d=8, quantizer="absmax", distribution="normal")
    by_bits = few.plot.c()
    assert by_bits.get_xlabel() == "bits"
    declared = [line for line in by_bits.lines if line.get_marker() == "_" and len(line.get_xdata())]
    (line,) = declared
    assert np.asarray(line.get_ydata()).tolist() == [ms.AbsMax(b).c(8) for b in range(2, 6)]
    assert same_color(line.get_color(), style.PALETTE[0])
    with pytest.raises(ValueError, match="there are no such rows to draw"):
        rows.where(norm="c").plot.kappa()
    many = ms.atlas.atlas(ms.QUANTIZERS, [4], [64], ["normal"], trials=2, search=False)
    with pytest.raises(ValueError, match=r"these rows fill \d panels, .* choose some, as with where\(granularity='sam"):
        many.plot.c()
    with pytest.raises(ValueError, match=r"these rows fill 3 panels, .* as with where\(quantizer=\["):
        many.where(granularity="sample").plot.c()
    with pytest.raises(ValueError, match="a panel can show 4 lines, but bits has 5 values beside another axis"):
        ms.atlas.atlas(["absmax", "minmax"], range(2, 7), [8, 9], ["normal"], trials=2, search=False).plot.c()


def looks(handles):
    """What a reader tells the entries of a legend by: the line, if there is one, and the marker."""
    lines = [(h.get_linewidth(), str(h._unscaled_dash_pattern)) if h.get_linestyle() != "None" else () for h in handles]
    marks = [(str(h.get_marker()), str(h.get_markerfacecolor()), h.get_markersize()) for h in handles]
    marks = [mark if mark[0] != "None" else () for mark in marks]
    return [(to_hex(h.get_color()), line, mark) for h, line, mark in zip(handles, lines, marks, strict=True)]


ATLASES = {
    "several quantizers and bits": lambda: ms.atlas.atlas(["absmax", "minmax"], [3, 4], [8, 64], trials=2),
    "one quantizer": lambda: ms.atlas.atlas("absmax", [2, 3, 4, 8], [8, 64], trials=2),
    "against bits": lambda: ms.atlas.atlas(["absmax", "floor", "zero"], range(2, 9), 64, "normal", trials=2),
    "one of everything": lambda: ms.atlas.atlas("absmax:3", dims=64, distributions="normal", trials=2, search=False),
}


@pytest.mark.parametrize("name", ATLASES)
def test_no_two_entries_of_a_legend_look_alike(name):
    rows = ATLASES[name]()
    for axes in (rows.plot.c(), rows.plot.kappa()):
        (legend,) = axes.figure.legends
        assert len({*looks(legend.legend_handles)}) == len(legend.get_texts())
        axes.figure.draw_without_rendering()
        assert defects(axes.figure) == []
    drawn = rows.plot.both()
    figure = drawn[0, 0].figure
    every = [*figure.legends[0].legend_handles, *drawn[0, 1].get_legend().legend_handles]
    assert len({*looks(every)}) == len(every)
    assert [axes.get_title()[:3] for axes in drawn.flat] == ["(a)", "(b)", "(c)", "(d)"][: drawn.size]
    assert [axes.get_ylabel() for axes in drawn.flat] == [*contraction.RATIOS.values()] * len(drawn)


def test_means_show_their_bits():
    rows = ms.atlas.atlas(["absmax", "minmax"], [2, 3, 4, 8], [8, 64], ["normal", "t5"], trials=2, search=False)
    axes = rows.plot.c()
    points = [line for line in axes.lines if line.get_linestyle() == "None" and len(line.get_xdata()) == 2]
    found = [(line.get_color(), line.get_marker(), line.get_fillstyle()) for line in points]
    assert len(found) == len({*found}) == 2 * 4 * 2
    (legend,) = axes.figure.legends
    told = {h.get_label(): h.get_fillstyle() for h in legend.legend_handles if h.get_linestyle() != "None"}
    assert [told[f"declared and mean, {bits} bits"] for bits in (2, 3, 4, 8)] == list(contraction.FILLS)


def test_conditions_of_the_theory_are_lines_that_say_what_holds():
    rows = ms.atlas.atlas("absmax", [3, 8], [64, 1024], "normal", trials=2, search=False)

    def lines(axes):
        grey = [x for x in axes.lines if same_color(x.get_color(), style.EDGE) and len(x.get_xdata())]
        return [float(x.get_ydata()[0]) for x in grey], [t.get_text() for t in axes.figure.legends[0].get_texts()]

    at, said = lines(rows.plot.c())
    assert at == [1.0, 0.5]
    assert {"c = 1: below it,\nthe sharp bounds hold", "c = ½: up to it,\nthe paper's (31) holds"} < {*said}
    at, said = lines(rows.plot.kappa())
    assert (at, said[-1]) == ([1.0], "kappa = 1: below it,\nthe max-norm bounds hold")
    at, said = lines(rows.where(bits=8, d=64).plot.c())  # c = 0.001: far from both
    assert (at, [text for text in said if "c =" in text]) == ([], [])
    (legend,) = rows.plot.both()[0, 0].figure.legends
    assert contraction.BOTH in [t.get_text() for t in legend.get_texts()]


@pytest.mark.parametrize("zero", [False, True])
def test_declared_curves_keep_their_room_whatever_was_measured(zero):
    """Means far below all curves are arrows at the edge; where there is a 0 as well, they are points."""
    rows = ms.atlas.atlas(["absmax", "identity"] if zero else "absmax", [3, 4], [64, 1024], ["normal", "t5"], trials=2)
    tiny = Atlas(row | {k: 1e-9 * row[k] for k in ("mean", "low", "high")} if row["distribution"] == "t5" else row
                 for row in rows)  # fmt: skip
    axes = tiny.plot.c()
    axes.figure.draw_without_rendering()
    assert defects(axes.figure) == []
    positive = [row["declared"] for row in rows.where(norm="c") if row["declared"] > 0]
    low, high = (axes.transData.transform((1, v))[1] for v in (min(positive), max(positive)))
    assert (high - low) / axes.bbox.height > 0.1
    assert (low - axes.bbox.y0) / axes.bbox.height < 0.8
    arrows = [x for line in axes.lines if line.get_marker() == contraction.BENEATH for x in line.get_xdata()]
    assert len(arrows) == (0 if zero else 4)
    said = [t.get_text() for t in axes.figure.legends[0].get_texts()]
    assert ("mean below the axis" in said) == (not zero)
    assert "mean below the axis" not in [t.get_text() for t in rows.plot.c().figure.legends[0].get_texts()]


def test_a_quantizer_has_one_colour_in_all_panels():
    rows = ms.atlas.atlas(["absmax:3", "minmax:3", "mxfp4_e2m1", "absmax:3@group:32"], dims=64, trials=2, search=False)
    drawn = rows.plot.both()
    told = [{t.get_text(): h.get_color() for t, h in zip(legend.get_texts(), legend.legend_handles, strict=True)}
            for legend in (axes.get_legend() for axes in drawn[:, 1])]  # fmt: skip
    assert [{*each} for each in told] == [{"absmax", "minmax"}, {"mxfp4_e2m1", "absmax"}]
    assert told[0]["absmax"] == told[1]["absmax"]
    assert len({*told[0].values(), *told[1].values()}) == 3


# -- recommendations, transfers ----------------------------------------------------------------------------------------


def test_recommendations_are_a_list_in_the_colours_of_their_schemes(objects):
    found = objects["Recommendations"]
    assert isinstance(found, list)
    assert isinstance(found[1:3], ms.recommendation.Recommendations)
    assert found[1:3] == [found[1], found[2]]
    frame = found.frame()
    assert frame["layer"].tolist() == [r.layer for r in found]
    assert frame["effective_bits"].tolist() == [r.effective_bits for r in found]
    axes = found.plot.bits()
    assert [t.get_text() for t in axes.get_yticklabels()] == [r.layer for r in found]
    for bar, r in zip(axes.patches, found, strict=True):
        assert bar.get_width() == r.effective_bits
        assert same_color(bar.get_facecolor(), layers.SCHEMES[r.scheme])
        if r.scheme in style.RECURSION:
            assert same_color(bar.get_facecolor(), style.RECURSION[r.scheme].colour)
    errors = found.plot.errors()
    foreseen, measured = (
        next(line for line in errors.lines if line.get_label() == k) for k in ("foreseen", "measured")
    )
    assert foreseen.get_xdata().tolist() == [r.bound for r in found]
    assert measured.get_xdata().tolist() == [r.measured for r in found]
    with pytest.raises(ValueError, match="there are no layers to draw"):
        ms.recommendation.Recommendations().plot.bits()


def test_frames_of_transfers_are_their_arrays(objects):
    transfer, prediction, call = (objects[name] for name in ("Transfer", "Prediction", "CallTransfer"))
    for row in transfer.frame().sample(20, random_state=0).to_dict("records"):
        at = row["step"], transfer.layers.index(row["layer"]), row["sample"]
        assert (row["a"], row["d"], row["output"]) == (transfer.a[at], transfer.d[at], transfer.output[at])
    for row in prediction.frame().sample(20, random_state=0).to_dict("records"):
        at = row["step"], row["sample"]
        assert (row["relative"], row["output"]) == (prediction.relative[at], prediction.output[at])
        assert row["x"] == prediction.x[at[0] + 1, at[1]]
    assert call.layers == ("logits", "mean")
    for row in call.frame().to_dict("records"):
        at = call.layers.index(row["layer"]), row["sample"]
        assert (row["a"], row["output"], row["entered"]) == (call.a[at], call.output[at], call.entered[at])


def test_pictures_of_transfers_are_of_their_gains(objects):
    transfer = objects["Transfer"]
    (mesh,) = transfer.plot.gains().collections
    np.testing.assert_allclose(np.ravel(mesh.get_array()), np.sqrt(transfer.output.mean(axis=-1)).T.ravel(), rtol=1e-12)
    line = transfer.plot.result().lines[0]
    np.testing.assert_allclose(line.get_ydata(), np.median(np.sqrt(transfer.impulse[:, -1]), axis=1), rtol=1e-12)
    with pytest.raises(ValueError, match="call must be at most 11, the last call, got 12"):
        transfer.plot.upstream(call=12)
    prediction = objects["Prediction"]
    line = prediction.plot.errors().lines[0]
    assert line.get_label() == "closed loop, predicted"
    assert same_color(line.get_color(), style.RECURSION["closed_loop"].colour)
    np.testing.assert_allclose(np.asarray(line.get_ydata())[1:], np.median(prediction.relative, axis=1)[1:], rtol=1e-12)


def few(impulse, T=3, n=4):
    """A transfer of one layer, of which only the gains to the result are told apart."""
    sizes = {"a": (T, 1, n), "d": (T, 1, n), "x": (T + 1, n), "held": (T + 1, n), "upstream": (T, 1, 1, n),
             "output": (T, 1, n), "moved": (T, 1, T, n)}  # fmt: skip
    ones = {name: np.ones(size) for name, size in sizes.items()}
    return ms.transfer.Transfer(("conv",), **ones, impulse=impulse, alignment=0.0)


def test_a_sample_that_nothing_reaches_does_not_blank_its_call():
    impulse = np.ones((3, 4, 4))
    impulse[2, -1, 0] = 0
    axes = few(impulse).plot.result()
    low, middle, high = np.quantile(np.sqrt(impulse[:, -1]), LEVELS, axis=1)
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), middle)
    (band,) = axes.collections
    edges = band.get_paths()[0].vertices
    assert {tuple(v) for v in edges} >= {(2, low[2]), (2, high[2])}
    assert unseen(axes) == []
    impulse[1, -1] = 0  # no sample is reached: a gap
    assert np.isnan(few(impulse).plot.result().lines[0].get_ydata()).tolist() == [False, True, False]


@pytest.mark.parametrize("relative", [[0.2], [0.0, 0.2, 0.0, 0.3]])
def test_predicted_errors_between_gaps_are_seen(relative):
    x = np.square([0.0, *relative])[:, None] * np.linspace(0.5, 1, 5)
    found = ms.prediction.Prediction(np.zeros((len(relative), 1, 5)), np.zeros((len(relative), 5)), x, np.ones_like(x))
    axes = found.plot.errors()
    assert unseen(axes) == []
    _, bars = axes.collections
    assert len(bars.get_segments()) == np.count_nonzero(relative)
