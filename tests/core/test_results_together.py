"""Results on the same Axes: labels say in what they differ, markers tell them apart, and there is one legend."""

import pytest
from matplotlib import pyplot
from matplotlib.colors import same_color
from readable import defects

import modiff_sim as ms
from modiff_sim.plot import overlay, style


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def run(Q="absmax:3", recursion="closed_loop", process="random_walk:16", **options):
    return ms.simulate(process, Q, recursion, **({"steps": 24, "trials": 5} | options))


def legends(axes):
    """The texts of all legends of a figure, each as a list."""
    found = [*axes.figure.legends, *filter(None, (each.get_legend() for each in axes.figure.axes))]
    return [[text.get_text() for text in legend.get_texts()] for legend in found]


def names(axes):
    """What labels say before what is drawn: "closed loop, absmax:3", in order."""
    (texts,) = legends(axes)
    return list(dict.fromkeys(text.rpartition(", ")[0] for text in texts))


@pytest.mark.parametrize("keep", ["trials", "summary"])
@pytest.mark.parametrize("own", [True, False])
def test_quantizers_are_named_and_told_apart(own, keep):
    axes = run(keep=keep).plot.errors(None if own else pyplot.subplots(layout="constrained")[1])
    assert names(axes) == ["closed loop"]
    for other in (run("absmax:4", keep=keep), run("absmax:4", "open_loop", keep=keep)):
        assert other.plot.errors(ax=axes) is axes
    assert names(axes) == ["closed loop, absmax:3", "closed loop, absmax:4", "open loop, absmax:4"]
    looks = {}
    for line in axes.lines:
        name, _, kind = line.get_label().rpartition(", ")
        looks[name, kind] = (line.get_color(), line.get_linestyle(), line.get_marker())
    assert len(looks) == len({*looks.values()}) == 9
    for (name, _), (colour, _, marker) in looks.items():  # colours stay those of the recursion
        recursion = "closed_loop" if name.startswith("closed") else "open_loop"
        assert same_color(colour, style.RECURSION[recursion].colour)
        assert (marker == "s") == name.endswith("absmax:4")
    axes.figure.draw_without_rendering()
    assert not own or defects(axes.figure) == []


@pytest.mark.parametrize("kind", ["errors", "ratios"])
def test_ratios_and_errors_have_a_title_of_what_all_share(kind):
    axes = getattr(run().plot, kind)()
    assert axes.get_title() == "absmax:3, random_walk, d = 16, 5 trials"
    getattr(run("absmax:4").plot, kind)(ax=axes)
    assert axes.get_title() == "random_walk, d = 16, 5 trials"
    getattr(run("absmax:4", trials=6, process="ar1:16").plot, kind)(ax=axes)
    assert axes.get_title() == ""
    mine = pyplot.subplots()[1]
    mine.set_title("mine")
    getattr(run().plot, kind)(ax=mine)
    assert mine.get_title() == "mine"


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"process": "ar1:16"}, ["random_walk, d = 16", "ar1, d = 16"]),  # whose options differ as well
        ({"process": ms.processes.random_walk(d=16, sigma=2)}, ["sigma=1.0, start=10.0", "sigma=2.0, start=10.0"]),
        ({"refresh": 10}, ["refresh never", "refresh 10"]), ({"seed": 3}, ["seed 0", "seed 3"]),
        ({"warmup": "quantized", "Q": "minmax:3"}, ["absmax:3", "minmax:3"]),
        ({"trials": 6, "Q": "minmax:3"}, ["absmax:3, 5 trials", "minmax:3, 6 trials"]),
    ],
    ids=str,
)  # fmt: skip
def test_labels_say_in_what_results_differ(other, said):
    axes = run().plot.errors()
    run(**other).plot.errors(ax=axes)
    assert names(axes) == [f"closed loop, {words}" for words in said]


def test_what_was_cleared_or_is_the_same_needs_no_name():
    axes = run().plot.errors()
    run().plot.errors(ax=axes)
    assert names(axes) == ["closed loop"]
    axes.clear()
    run("absmax:4").plot.errors(ax=axes)
    assert names(axes) == ["closed loop"]


def test_more_settings_than_markers_are_refused():
    axes = pyplot.subplots()[1]
    for bits in range(2, 2 + len(overlay.MARKERS)):
        run(f"absmax:{bits}").plot.errors(ax=axes)
    with pytest.raises(ValueError, match="these Axes show 7 settings"):
        run("minmax:4").plot.errors(ax=axes)
    run("absmax:2", "direct").plot.errors(ax=axes)  # which is one of them
