"""The pictures of ``--plot``: written as asked, and no two curves of a panel look alike."""

import sys

import numpy as np
import pytest
from command_line import run
from seen import unseen

import modiff_sim as ms
from modiff_sim import contraction
from modiff_sim.contraction import WorstCase

COMMANDS = ("simulate", "bounds", "contraction", "worst-case", "recommend")


@pytest.mark.parametrize(("command", "suffix"), [*((c, "png") for c in COMMANDS), ("bounds", "svg"), ("bounds", "pdf")])
def test_plot_writes_a_picture_and_the_same_numbers(capsys, tmp_path, recording, command, suffix):
    small = {"simulate": ("--steps", 5, "--trials", 2, "--d", 4), "bounds": ("--steps", 3), "recommend": (recording,),
             "contraction": ("--d", 4, 8, "--trials", 4), "worst-case": ("--n", 1, 2, "--d", 8)}  # fmt: skip
    target = tmp_path / f"picture.{suffix}"
    plain = run(capsys, command, *small[command])
    code, out, err = run(capsys, command, *small[command], "--plot", target)
    assert (code, out) == (0, plain[1])
    assert err == f"wrote {target}\n"
    head = target.read_bytes()[:100]
    assert head.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix])
    if command == "bounds":  # all are written by one function: neither dates nor random ids
        again = tmp_path / f"again.{suffix}"
        run(capsys, command, *small[command], "--plot", again)
        assert again.read_bytes() == target.read_bytes()


def drawn(monkeypatch, capsys, *arguments):
    """The figure that a command draws, before it is laid out and written: what the tests above are about."""
    from matplotlib.figure import Figure

    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **o: figures.append(self))
    code, _, err = run(capsys, *arguments)
    assert code == 0, err
    return figures[0]


@pytest.fixture
def unsearched(monkeypatch):
    """Stands in for the search of worst cases, whose values move no curve onto another."""
    monkeypatch.setattr(contraction, "search", lambda Q, d, *, norm, seed: WorstCase(getattr(Q, norm)(d) / 2, None))


@pytest.mark.parametrize(
    "options",
    [
        ("--d", 64),
        ("--quantizer", "absmax", "minmax", "mid_rise", "logarithmic", "floor", "--bits", 3, 4, 6),
        ("--bits", 2, 3, 4, 5, 6, 7, 8, "--d", 8, 512),
        ("--quantizer", *ms.QUANTIZERS, "--d", 64),
        ("--quantizer", "absmax", "mxfp4_e2m1", "--granularity", "sample", "group", "--bits", 2, 4, "--d", 32, 64),
    ],
    ids=["one point", "5 quantizers, 3 bits", "7 bits", "all quantizers", "granularities"],
)
@pytest.mark.usefixtures("unsearched")
def test_no_two_curves_of_a_panel_look_alike(monkeypatch, capsys, tmp_path, options):
    where = ("contraction", "--trials", 2, "--plot", tmp_path / "x.png", *options)
    figure = drawn(monkeypatch, capsys, *where)
    panels = figure.axes
    assert len(panels) % 2 == 0
    if len(panels) > 4:  # the largest picture has room for its panels: else, a warning
        figure.get_layout_engine().execute(figure)
    for axes in panels:
        # error bars are no lines of their own here: every declared curve is one, and differs from the others
        declared = [line for line in axes.lines if line.get_marker() == "_" and len(line.get_xdata())]
        seen = [(line.get_color(), line.get_linestyle()) for line in declared]
        assert 1 <= len(set(seen)) == len(seen)
        assert all(line.get_marker() not in ("", "None", None) for line in declared)  # a single point is seen
        ticks = [t for t in axes.get_xticks() if axes.get_xlim()[0] <= t <= axes.get_xlim()[1]]
        assert ticks
        assert all(float(t).is_integer() for t in ticks)  # no 2.85 bits
        if axes.get_xscale() == "log":
            assert [label.get_text() for label in axes.get_xticklabels()] == [str(int(t)) for t in axes.get_xticks()]


@pytest.mark.usefixtures("unsearched")
def test_more_curves_than_can_be_told_apart_are_refused(capsys, tmp_path):
    where = ("--d", 8, 16, "--trials", 2, "--plot", tmp_path / "x.png")
    code, _, err = run(capsys, "contraction", "--quantizer", "absmax", "minmax", "--bits", 2, 3, 4, 5, 6, *where)
    assert code == 2
    assert "--plot can show 4 lines, but --bits has 5 values" in err
    code, _, err = run(capsys, "contraction", "--bits", *range(2, 12), *where)
    assert code == 2
    assert "--plot can show 8 colours, but --bits has 10 values" in err
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("simulate", "--steps", 1), ("simulate", "--steps", 4), ("bounds", "--steps", 1), ("bounds", "--steps", 3),
        ("worst-case", "--n", 1), ("worst-case", "--n", 1, 2, 3),
    ],
    ids=lambda c: " ".join(map(str, c)),
)  # fmt: skip
def test_pictures_of_few_calls_have_whole_ticks_and_show_their_points(monkeypatch, capsys, tmp_path, command):
    for axes in drawn(monkeypatch, capsys, *command, "--plot", tmp_path / "x.png").axes:
        low, high = sorted(axes.get_xlim())
        assert all(float(t).is_integer() for t in axes.get_xticks() if low <= t <= high)
        points = [line for line in axes.lines if len(line.get_xdata()) == 1 and np.isfinite(line.get_ydata()[0])]
        assert all(line.get_marker() not in ("", "None", None) for line in points)
        assert axes.get_yscale() == "linear" or axes.get_ylim()[1] >= 9.99 * axes.get_ylim()[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("simulate", "--steps", 3, "--trials", 2, "--d", 4), "absmax:4, random_walk, d = 4, 2 trials, seed 0"),
        (
            ("simulate", "--process", "geometric:4", "--option", "ratio=0.5", "--steps", 3, "--trials", 2),
            "absmax:4, geometric, d = 4, ratio=0.5, 2 trials, seed 0",
        ),
        (
            ("simulate", "--process", "ar1:4", "burst:4", "--option", "phi=0.5", "--steps", 3, "--trials", 2),
            "absmax:4, ar1:4: phi=0.5, 2 trials, seed 0",
        ),
        (
            ("simulate", "--process", "ar1:4", "burst:4", "--option", "sigma=2", "--steps", 3, "--trials", 2),
            "absmax:4, sigma=2, 2 trials, seed 0",
        ),
        (("bounds", "--steps", 3), "absmax:4, d = 64, c = 0.2432, kappa = 0.07143, constant differences"),
        (("bounds", "--steps", 3, "--c", 0.5, "--kappa", 0.25), "c = 0.5, kappa = 0.25, constant differences"),
        (("contraction", "--d", 8, "--trials", 4), "absmax:4, d = 8, normal inputs, 4 trials, seed 0"),
        (("worst-case", "--n", 1, 2, "--c", 0.5, "--profile", "impulse"), "c = 0.5, impulse differences"),
        (("recommend", "RECORDING"), "layers.npz: within 0.05 of the input (max norm, for every trial)"),
    ],
    ids=lambda v: " ".join(map(str, v)) if isinstance(v, tuple) else "",
)
def test_pictures_say_what_they_show(monkeypatch, capsys, tmp_path, recording, arguments, said):
    arguments = [recording if a == "RECORDING" else a for a in arguments]
    figure = drawn(monkeypatch, capsys, *arguments, "--plot", tmp_path / "x.png")
    assert figure.get_suptitle().endswith(said)
    assert figure.legends
    for axes in figure.axes:
        assert axes.get_title()
        if arguments[0] != "recommend":  # whose titles are those of the x axes, and layers stand at the y axis
            assert axes.get_xlabel()
            assert axes.get_ylabel()


def test_several_quantizers_and_processes_have_panels_and_looks_of_their_own(monkeypatch, capsys, tmp_path):
    where = ("--steps", 4, "--trials", 8, "--d", 4, "--plot", tmp_path / "x.png")
    several = ("--quantizer", "absmax:3", "minmax:3", "--process", "random_walk", "ar1:6")
    figure = drawn(monkeypatch, capsys, "simulate", *several, *where)
    assert figure.get_suptitle() == "8 trials, seed 0"
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == 8
    assert titles[:2] == ["2-norm: mean error, random_walk:4", "max norm: mean error, random_walk:4"]
    assert titles[6:] == ["2-norm: worst error / bound, ar1:6", "max norm: worst error / bound, ar1:6"]
    for axes in figure.axes:
        looks = [(line.get_color(), line.get_linestyle()) for line in axes.lines if len(line.get_xdata()) > 2]
        curves = [look for look in looks if look[0] != "black"]
        assert len(curves) == len({*curves}) == 2 * len(ms.RECURSIONS)
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named[:-1] == ["absmax:3", "minmax:3", "direct", "open loop", "closed loop"]
    alone = drawn(monkeypatch, capsys, "simulate", "--quantizer", "absmax:3", *several[3:], *where)
    assert alone.get_suptitle() == "absmax:3, 8 trials, seed 0"
    assert len(alone.axes) == 8
    assert len(alone.legends) == 1
    one = drawn(monkeypatch, capsys, "simulate", "--quantizer", "absmax:3", "absmax:4", *where)
    assert one.get_suptitle() == "random_walk, d = 4, 8 trials, seed 0"
    assert len(one.axes) == 4


def test_plot_without_matplotlib_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = run(capsys, "bounds", "--plot", "x.png")
    assert (code, out) == (2, "")
    assert "pip install 'modiff-sim[plot]'" in err


@pytest.mark.parametrize("options", [("--refresh", 2), ("--steps", 2), ("--steps", 5, "--refresh", 3)], ids=str)
@pytest.mark.parametrize("quantizers", [("absmax",), ("absmax", "minmax")], ids=len)
def test_points_between_exact_calls_are_seen(monkeypatch, capsys, tmp_path, quantizers, options):
    steps = () if "--steps" in options else ("--steps", 6)
    given = ("--quantizer", *quantizers, *options, *steps, "--d", 16, "--trials", 5)
    figure = drawn(monkeypatch, capsys, "simulate", *given, "--plot", tmp_path / "x.png")
    for axes in figure.axes:
        assert unseen(axes) == []
    if len(quantizers) == 1:
        (legend,) = figure.legends
        markers = {line.get_label(): line.get_marker() for line in legend.get_lines()}
        assert (markers["mean error"], markers["its bound"]) == ("s", "_")


@pytest.mark.parametrize("quantizers", [("mxfp8_e4m3",), ("mxfp8_e4m3", "mxfp8_e5m2")], ids=len)
def test_inputs_outside_of_the_domain_are_shaded(monkeypatch, capsys, tmp_path, quantizers):
    walk = np.random.default_rng(0).standard_normal((5, 3, 64)).cumsum(axis=0)
    for scale, shaded in ((1, False), (1e-42, True)):
        np.save(tmp_path / "run.npy", scale * walk)
        given = ("--process", tmp_path / "run.npy", "--steps", 5, "--trials", 3, "--recursion", "closed_loop")
        where = ("--plot", tmp_path / "x.png")
        figure = drawn(monkeypatch, capsys, "simulate", "--quantizer", *quantizers, *given, *where)
        (legend,) = figure.legends
        assert ("outside the quantizer's domain" in [t.get_text() for t in legend.get_texts()]) == shaded
        assert [bool(axes.patches) for axes in figure.axes] == [shaded] * 4
        for axes in figure.axes[2:]:  # ratios: those that were judged, none above 1
            assert all(np.nanmax(line.get_ydata(), initial=0) <= 1 for line in axes.lines)
            assert not any(len(line.get_xdata()) for line in axes.lines if line.get_marker() == "^")
        for axes in figure.axes[:2] if len(quantizers) == 1 else ():
            (bound,) = [line for line in axes.lines if line.get_linestyle() == "--"]
            assert np.isnan(bound.get_ydata()).all() == shaded
