"""One palette: a recursion and a bound have one colour in every command, figure and picture of an object."""

import re
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from matplotlib import pyplot
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import modiff_sim as ms
from figures import fig_violins
from modiff_sim.plot import layers, panels, style

ROOT = Path(ms.__file__).parent.parent
LOOPS = {name: style.RECURSION[name].colour for name in style.LOOPS}


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def same(a, b):
    return to_hex(a) == to_hex(b)


def drawn(monkeypatch, capsys, *arguments):
    """The figure that a command draws, and label -> colour of its legend."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **o: figures.append(self))
    code, _, err = run(capsys, *arguments, "--plot", "x.png")
    assert code == 0, err
    (figure,) = figures
    return figure, legend(figure)


def legend(figure):
    (one,) = figure.legends
    found = {}
    for handle, words in zip(one.legend_handles, one.get_texts(), strict=True):
        colour = handle.get_color() if hasattr(handle, "get_color") else handle.get_facecolor()
        found[words.get_text()] = to_hex(colour)
    return found


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_recursions_of_commands_and_objects(monkeypatch, capsys):
    names = list(ms.RECURSIONS)
    figure, keys = drawn(monkeypatch, capsys, "simulate", "--steps", 4, "--trials", 2, "--d", 4, "--recursion", *names)
    for name, colour in LOOPS.items():
        assert same(keys[style.SHORT[name]], colour)
        axes = ms.simulate("random_walk:4", "absmax:4", name, steps=4, trials=2).plot.errors()
        assert all(same(line.get_color(), colour) for line in axes.lines)
        assert any(same(line.get_color(), colour) for line in figure.axes[0].lines)
    others = [keys[name.replace("_", " ")] for name in names if name not in style.RECURSION]
    assert not {to_hex(c) for c in LOOPS.values()} & {*others}
    assert len({keys[name.replace("_", " ")] for name in names}) == len(names)


@pytest.mark.parametrize("command", [("bounds", "--steps", 3), ("worst-case", "--n", 1, 2, "--d", 4)])
def test_bounds_of_commands(monkeypatch, capsys, command):
    _, keys = drawn(monkeypatch, capsys, *command)
    for name in ("printed/paper", "printed/sampling", "young", "sharp"):
        assert same(keys[name], style.BOUND[name.replace("/", "_")].colour)
    looks = panels.bounds(["printed/paper", "printed/sampling", "young", "sharp", "max_norm"])
    marks = {(look["color"], str(look["ls"]), look["marker"]) for look in looks.values()}
    assert len(marks) == len(looks)


def test_schemes_of_recommendations(monkeypatch, capsys, recording):
    figure, keys = drawn(monkeypatch, capsys, "recommend", recording)
    found = ms.recommendation.recommend(ms.recommendation.read_recording(recording))
    for r in found:
        assert same(keys[style.short(r.scheme)], layers.SCHEMES[r.scheme])
    for name, colour in LOOPS.items():
        assert layers.SCHEMES.get(name, colour) == colour
    mine = [to_hex(bar.get_facecolor()) for bar in found.plot.bits().patches]
    assert mine == [to_hex(bar.get_facecolor()) for bar in figure.axes[0].patches]


def test_what_recursions_quantize_in_figures_and_objects():
    data = {"layers": np.array(["one"]), "levels": np.linspace(0, 1, 5), "steps": np.arange(3)}
    for q in "adr":
        data |= {f"quantiles_{q}": np.sort(np.random.default_rng(0).random((1, 3, 5))), f"absmax_{q}": np.ones((1, 3))}
    keys = legend(fig_violins.plot(data))
    for look, name in zip(style.QUANTITY.values(), style.LOOPS, strict=True):
        assert same(keys[look.label], LOOPS[name])


def test_quantizers_have_the_colours_of_the_palette(monkeypatch, capsys):
    where = ("contraction", "--quantizer", "absmax", "minmax", "--bits", 3, 4, "--d", 8, "--trials", 2)
    figure, _ = drawn(monkeypatch, capsys, *where)
    rows = ms.atlas.atlas(["absmax", "minmax"], [3, 4], [8], ["normal"], ["kappa"], trials=2)
    for axes in (figure.axes[0], rows.plot.kappa()):
        colours = {
            to_hex(line.get_color()) for line in axes.lines if line.get_marker() == "_" and len(line.get_xdata())
        }
        assert colours == {to_hex(c) for c in style.PALETTE[:2]}


def test_colours_are_named_in_one_place():
    found = []
    for path in [*(ROOT / "modiff_sim").rglob("*.py"), *(ROOT / "figures").glob("*.py")]:
        if path.name != "style.py" and re.search(r"[\"']#[0-9a-fA-F]{6}", path.read_text(encoding="utf-8")):
            found.append(path.name)
    assert found == []
