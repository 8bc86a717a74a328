"""Results and summaries of simulations: frames against their arrays, pictures against their numbers."""

import re

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import same_color
from readable import defects
from seen import unseen

import modiff_sim as ms
from modiff_sim import bounds
from modiff_sim.plot import style
from modiff_sim.recursion import RECURSIONS
from modiff_sim.shown import LEVELS
from modiff_sim.simulation import results
from modiff_sim.simulation.against_bounds import compared
from modiff_sim.simulation.summary import QUANTITIES

LOOPS = ("direct", "open_loop", "closed_loop")


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def run(recursion="closed_loop", Q="absmax:4", **options):
    return ms.simulate("random_walk:16", Q, recursion, **({"steps": 8, "trials": 5, "seed": 1} | options))


def drawn(axes):
    """label -> line"""
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_a_result_lists_what_there_is():
    some = run(measure=["error", "kappa"])
    assert {"error", "kappa", "frame", "plot", "save"} <= set(dir(some))
    assert not {"a", "error_inf", "c"} & set(dir(some))
    assert hasattr(some, "error")
    assert not hasattr(some, "error_inf")
    with pytest.raises(AttributeError, match="error_inf was not measured: add it to measure="):
        _ = some.error_inf
    with pytest.raises(AttributeError, match="'Result' object has no attribute 'eror'"):
        _ = some.eror
    short = run(keep="summary")
    assert not set(QUANTITIES) & set(dir(short))
    with pytest.raises(AttributeError, match=r"error was summarised: see summary\(\)"):
        _ = short.error
    assert all(getattr(ms.Result, name).__doc__ for name in QUANTITIES)  # what an editor shows


def test_a_frame_has_the_arrays():
    r = run(steps=3, trials=2)
    frame = r.frame()
    assert frame.columns.tolist() == ["step", "trial", *QUANTITIES]
    assert len(frame) == 6
    for row in frame.to_dict("records"):
        for name in QUANTITIES:
            np.testing.assert_equal(row[name], r.arrays[name][row["step"], row["trial"]])
    assert [{k: row[k] for k in ("step", "trial", "error")} for row in r.rows()] == frame[
        ["step", "trial", "error"]
    ].to_dict("records")


@pytest.mark.parametrize("whole", [True, False])
def test_the_frame_of_a_summary_is_what_numpy_says(whole):
    r = run(trials=200)
    frame = (r.summary() if whole else run(trials=200, keep="summary")).frame()
    assert frame.columns.tolist() == ["quantity", "step", "mean", "rms", "max", "q05", "q25", "q50", "q75", "q95"]
    assert len(frame) == 8 * len(QUANTITIES)
    for name, values in r.arrays.items():
        table = frame[frame["quantity"] == name].set_index("step")
        np.testing.assert_allclose(table["mean"], values.mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(table["rms"], np.sqrt((values**2).mean(axis=1)), rtol=1e-12)
        np.testing.assert_equal(table["max"].to_numpy(), values.max(axis=1))
        for column, level in (("q05", 0.05), ("q50", 0.5), ("q95", 0.95)):
            rank = np.sort(values, axis=1)[:, int(np.ceil(level * 200)) - 1]
            np.testing.assert_allclose(table[column], rank, rtol=1 / 64)


@pytest.mark.parametrize("norm", ["2", "inf"])
@pytest.mark.parametrize("name", LOOPS)
def test_errors_are_drawn_as_they_are_with_the_bound_of_their_recursion(name, norm):
    r = run(name)
    axes = r.plot.errors(norm=norm)
    error, d, a = (getattr(r, q if norm == "2" else f"{q}_inf") for q in ("error", "d", "a"))
    Q, kind, gain = ms.AbsMax(4), "sharp", "c"
    if norm == "inf":
        kind, gain = "max_norm", "kappa"
    constant = getattr(Q, gain)(16)
    if name == "direct":
        limit = bounds.direct(a, constant if norm == "2" else constant**2)
    else:
        limit = np.concatenate([0 * a[:1], getattr(bounds, f"{kind}_{name}")(d[1:], constant)])
    words = style.SHORT[name]
    lines = drawn(axes)
    assert list(lines) == [f"{words}, mean", f"{words}, largest", f"{words}, bound"]
    for line, values in zip(lines.values(), (error.mean(axis=1), error.max(axis=1), limit.max(axis=1)), strict=True):
        shown = np.asarray(line.get_ydata())
        np.testing.assert_allclose(shown[values > 0], values[values > 0], rtol=1e-12)
        assert np.isnan(shown[values == 0]).all()  # a logarithmic axis has no 0
        assert same_color(line.get_color(), style.RECURSION[name].colour)
    assert (axes.get_yscale(), axes.get_xlabel()) == ("log", "call")
    assert {"2": "2-norm", "inf": "max norm"}[norm] in axes.get_ylabel()
    axes.figure.draw_without_rendering()
    assert defects(axes.figure) == []


def test_ratios_are_of_each_trial_to_its_own_bound():
    r = run()
    axes = r.plot.ratios(norm="inf")
    limit = bounds.max_norm_closed_loop(r.d_inf[1:], ms.AbsMax(4).kappa(16))
    ((label, line),) = drawn(axes).items()
    assert label == "closed loop, max norm"
    np.testing.assert_allclose(np.asarray(line.get_ydata())[1:], (r.error_inf[1:] / limit).max(axis=1), rtol=1e-12)
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylim()[1] > 1  # where an error is its bound


def test_where_no_bound_is_known_none_is_drawn():
    class Mine(type(RECURSIONS["closed_loop"])):
        def next_ref(self, ref, a, hat):
            return ref + hat

    less = run(measure=["error"])
    operated = run(operator=np.eye(16))
    for r, why in ((less, "measure= left out"), (operated, "operator"), (run(Mine()), "no bound is known")):
        lines = drawn(r.plot.errors())
        assert [label.rpartition(", ")[2] for label in lines] == ["mean", "largest"]
        with pytest.raises(ValueError, match=f"no ratios: .*{why}"):
            r.plot.ratios()
    with pytest.raises(ValueError, match="error_inf was not measured, only error"):
        less.plot.errors(norm="inf")
    with pytest.raises(ValueError, match="unknown norm '1'; known: 2, inf"):
        less.plot.errors(norm="1")
    with pytest.raises(ValueError, match=r'the trials were summarised, and ratios need every trial: .*keep="trials"'):
        run(keep="summary").plot.ratios()


def test_what_is_bounded_together_is_drawn_together():
    shared = run(Q=ms.AbsMax(4, granularity=ms.PerBatch()))
    lines = drawn(shared.plot.errors())
    assert list(lines) == ["closed loop, mean", "closed loop, all trials together", "closed loop, bound"]
    together = np.linalg.norm(shared.error, axis=1)
    np.testing.assert_allclose(np.asarray(lines["closed loop, all trials together"].get_ydata())[1:], together[1:])
    random = run(Q="stochastic:4")
    lines = drawn(random.plot.errors())
    rms = np.sqrt((random.error**2).mean(axis=1))
    np.testing.assert_allclose(np.asarray(lines["closed loop, root mean square"].get_ydata())[1:], rms[1:])
    assert list(drawn(random.plot.errors(norm="inf")))[1] == "closed loop, largest"


def test_a_summary_draws_its_quantiles():
    r = run(trials=300)
    for shown in (r.summary(), run(trials=300, keep="summary")):
        axes = shown.plot.errors()
        lines = drawn(axes)
        assert list(lines) == ["closed loop, median and 5–95 %", "closed loop, mean", "closed loop, largest"]
        middle, mean, largest = (np.asarray(line.get_ydata())[1:] for line in lines.values())
        np.testing.assert_allclose(middle, np.median(r.error, axis=1)[1:], rtol=0.05)
        np.testing.assert_allclose(mean, r.error.mean(axis=1)[1:], rtol=1e-12)
        np.testing.assert_array_equal(largest, r.error.max(axis=1)[1:])
        (band,) = axes.collections
        edges = band.get_paths()[0].vertices[:, 1]
        low, high = np.quantile(r.error[1:], [0.05, 0.95], axis=1)
        assert edges.min() == pytest.approx(low.min(), rel=0.05)
        assert edges.max() == pytest.approx(high.max(), rel=0.05)
        assert all(same_color(line.get_color(), style.RECURSION["closed_loop"].colour) for line in axes.lines)
        axes.figure.draw_without_rendering()
        assert defects(axes.figure) == []


def test_several_results_share_axes_and_one_legend():
    figure, axes = pyplot.subplots(layout="constrained")
    lines = figure.get_layout_engine()
    for name in LOOPS:
        assert run(name).plot.errors(axes) is axes
    assert figure.get_layout_engine() is lines
    assert len(drawn(axes)) == 9
    assert [t.get_text() for t in axes.get_legend().get_texts()] == list(drawn(axes))
    values = np.concatenate([np.asarray(line.get_ydata()) for line in drawn(axes).values()])
    low, high = axes.get_ylim()
    assert low <= np.nanmin(values) < np.nanmax(values) <= high  # the first drawn did not fix the limits
    axes.figure.draw_without_rendering()
    legend = axes.get_legend().get_window_extent()
    assert not legend.overlaps(axes.get_window_extent())
    with pytest.raises(TypeError, match=r"ax must be Axes of matplotlib's, .* got Figure"):
        run().plot.errors(figure)


def test_the_users_settings_stay_and_do_not_get_in():
    import matplotlib as mpl

    mpl.rcParams["lines.linewidth"] = 7
    try:
        axes = run().plot.errors()
        assert mpl.rcParams["lines.linewidth"] == 7
    finally:
        mpl.rcdefaults()
    assert axes.lines[0].get_linewidth() < 7


@pytest.mark.parametrize("keep", ["trials", "summary"])
@pytest.mark.parametrize(
    "options",
    [{"steps": 1, "warmup": "quantized"}, {"steps": 2}, {"refresh": 2}, {"refresh": (2, 3, 5, 6)}, {}],
    ids=str,
)
def test_every_point_is_seen(options, keep):
    """Also those between calls without an error, which no line reaches."""
    axes = run(keep=keep, **options).plot.errors()
    assert unseen(axes) == []
    markers = {line.get_marker() for line in axes.lines if line.get_linestyle() != "None"}
    assert ("" in markers) == (not options)  # where lines reach all points, these have no marker


def test_a_band_between_gaps_is_a_bar():
    r = run(keep="summary", trials=300, refresh=2)
    _, bars = r.plot.errors().collections
    wanted = [(x, *(r.summary().quantile("error", q)[x] for q in LEVELS[::2])) for x in range(1, 8, 2)]
    found = [(*segment[0], segment[1][1]) for segment in bars.get_segments()]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert same_color(bars.get_color()[0][:3], style.RECURSION["closed_loop"].colour)


def tiny(scale, trials=3, Q="mxfp8_e4m3", recursion="closed_loop"):
    """Inputs of 64 entries, those of trial i times ``scale[i]``: the smallest scale of an MX format is 2^-127."""
    walk = np.random.default_rng(0).standard_normal((6, trials, 64)).cumsum(axis=0)
    return ms.simulate(walk * np.reshape(scale, (-1, 1)), Q, recursion, steps=6, trials=trials)


@pytest.mark.parametrize("norm", ["2", "inf"])
def test_inputs_outside_of_the_domain_are_not_drawn_as_violations(norm):
    axes = tiny(1e-42).plot.errors(norm=norm)
    lines = drawn(axes)
    assert list(lines) == ["closed loop, mean", "closed loop, largest"]  # no entry for a bound that nowhere is
    (shade,) = axes.patches
    assert (shade.get_x(), shade.get_width()) == (0.5, 5)  # call 0 is exact
    assert shade.get_label() == "closed loop, outside the quantizer's domain"  # that of the format's exponents
    assert shade.get_label() in [t.get_text() for t in axes.figure.legends[0].get_texts()]
    axes = tiny(1e-42).plot.ratios(norm=norm)
    (ratio,) = [line for line in axes.lines if line.get_label().startswith("closed loop")]
    assert np.nanmax(ratio.get_ydata()) <= 1
    assert [len(line.get_xdata()) for line in axes.lines if line.get_marker() == "^"] == [0]
    assert len(axes.patches) == 1
    axes.figure.draw_without_rendering()
    assert defects(axes.figure) == []


@pytest.mark.parametrize("norm", ["2", "inf"])
def test_only_the_trials_outside_of_the_domain_are_left_out(norm):
    axes = tiny([1, 1e-42, 1]).plot.errors(norm=norm)
    assert len(axes.patches) == 1
    bound = np.asarray(drawn(axes)["closed loop, bound"].get_ydata())
    inside = np.asarray(drawn(tiny([1, 0, 1]).plot.errors(norm=norm))["closed loop, bound"].get_ydata())
    np.testing.assert_array_equal(bound, inside)
    axes = tiny([1, 1e-42, 1]).plot.ratios(norm=norm)
    assert len(axes.patches) == 1
    label = f"closed loop, {'2-norm' if norm == '2' else 'max norm'}"
    assert 0 < np.asarray(drawn(axes)[label].get_ydata())[-1] <= 1


def test_all_trials_outside_leave_no_ratio():
    found = compared(tiny(1e-42, recursion="direct"), "2")
    assert found["outside"].all()
    assert (found["worst"]["holds"], found["worst"]["premise_fails_from"]) == (None, 0)  # nothing was judged
    assert np.isnan(np.asarray(drawn(tiny(1e-42).plot.ratios())["closed loop, 2-norm"].get_ydata()))[1:].all()


@pytest.mark.parametrize("Q", ["mxfp8_e4m3", "absmax:4", "stochastic:4", ms.AbsMax(4, granularity=ms.PerBatch())])
def test_nothing_is_shaded_inside_of_the_domain(Q):
    r = tiny(1, Q=Q)
    assert len(r.plot.errors().patches) == len(r.plot.ratios().patches) == 0


def test_what_is_drawn_later_takes_the_sentence_away():
    _, axes = pyplot.subplots()
    run(Q="identity").plot.errors(axes)
    run(Q="identity").plot.errors(axes)
    assert [t.get_text() for t in axes.texts] == ["all are 0"]
    run().plot.errors(axes)
    assert [t.get_text() for t in axes.texts] == []
    assert axes.get_yscale() == "log"
    run(Q="identity").plot.errors(axes)
    assert [t.get_text() for t in axes.texts] == []


def test_an_exact_result_is_drawn_as_such():
    axes = run(Q="identity").plot.errors()
    axes.figure.draw_without_rendering()
    assert [t.get_text() for t in axes.texts] == ["all are 0"]
    assert defects(axes.figure) == []


@pytest.mark.parametrize(
    ("Q", "said"),
    [("absmax:3", r"of its bound, max norm  0\.\d+ at most: it holds"),
     (ms.Custom(lambda a: np.round(4 * a) / 4, kappa=0.05), r"max norm  none is promised from call \d+ on, where an")],
)  # fmt: skip
def test_a_result_says_how_near_its_bounds_it_came(Q, said):
    r = ms.simulate("random_walk:64", Q, steps=20, trials=8)
    assert re.search(said, repr(r))
    bound = ms.bounds.max_norm_closed_loop(r.d_inf[1:], r.params["quantizer"].kappa(64))
    if Q == "absmax:3":
        assert f"{(r.error_inf[1:] / bound).max():.4g} at most" in repr(r)


def test_a_result_without_bounds_or_too_large_for_a_glance_says_none(monkeypatch):
    assert "of its bound" not in repr(ms.simulate("random_walk:8", "absmax:3", steps=4, trials=2, measure="d"))
    r = ms.simulate("random_walk:8", "absmax:3", steps=4, trials=2)
    assert "of its bound, 2-norm" in repr(r)
    monkeypatch.setattr(results, "GLANCE", 7)
    assert "of its bound" not in repr(r)
