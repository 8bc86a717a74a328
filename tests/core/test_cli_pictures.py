"""The pictures of ``--plot``: written as asked, and no two curves of a panel look alike."""

import sys

import pytest
from command_line import run

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
        points = [line for line in axes.lines if len(line.get_xdata()) == 1]
        assert all(line.get_marker() not in ("", "None", None) for line in points)
        assert axes.get_yscale() == "linear" or axes.get_ylim()[1] >= 9.99 * axes.get_ylim()[0]


def test_plot_without_matplotlib_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = run(capsys, "bounds", "--plot", "x.png")
    assert (code, out) == (2, "")
    assert "pip install 'modiff-sim[plot]'" in err
