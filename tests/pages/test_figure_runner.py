"""The runner of the figures, on one that costs nothing: bytes, re-use of data, damage, unknown names."""

import types

import numpy as np
import pytest

import figures
from figures import __main__ as runner
from modiff_sim.plot import style


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """A figure module outside the package, and a log of what was computed."""
    log = []
    source = tmp_path / "fig_toy.py"
    source.write_text("# toy\n", encoding="utf-8")

    def data(effort):
        log.append(effort)
        return {"x": np.arange(3), "y": np.random.default_rng(0).standard_normal(3), "name": "toy"}

    def plot(data):
        assert data["name"] == "toy"
        figure, axes = style.grid(1, 1, height=2)
        axes[0, 0].plot(data["x"], data["y"])
        return figure

    params = {effort: {"seed": 0, "n": n} for n, effort in enumerate(figures.EFFORTS)}
    module = types.SimpleNamespace(
        TITLE="Toy", CAPTION="A line.", PARAMS=params, data=data, plot=plot, __file__=str(source), log=log
    )
    monkeypatch.setattr(figures, "names", lambda: ["toy"])
    monkeypatch.setattr(runner, "names", lambda: ["toy"])
    real = figures.load
    monkeypatch.setattr(figures, "load", lambda name: module if name == "toy" else real(name))
    return module


def make(out, effort="quick"):
    (made,) = figures.make(["toy"], effort, out)
    return made


def content(made):
    return {p.suffix: p.read_bytes() for p in (made.png, made.svg, made.data, made.manifest)}


def test_same_bytes_twice(toy, tmp_path):
    one, two = make(tmp_path / "a"), make(tmp_path / "b")
    assert content(one) == content(two)
    assert toy.log == ["quick", "quick"]


def test_data_with_the_same_key_is_used_again(toy, tmp_path):
    first = make(tmp_path)
    before = content(first)
    again = make(tmp_path)
    assert (first.origin, again.origin) == ("computed", "found")
    assert toy.log == ["quick"]
    assert content(again) == before


@pytest.mark.parametrize("change", ["effort", "params", "source", "versions", "damaged data", "damaged manifest"])
def test_data_with_another_key_or_damage_is_computed_again(toy, tmp_path, monkeypatch, change):
    first = make(tmp_path)
    if change == "params":
        toy.PARAMS["quick"] = {"seed": 1, "n": 0}
    elif change == "source":
        (tmp_path / "fig_toy.py").write_text("# toy, changed\n", encoding="utf-8")
    elif change == "versions":
        monkeypatch.setattr("modiff_sim.sweeps.store.versions", lambda: {"numpy": "0.0"})
    elif change == "damaged data":
        first.data.write_bytes(first.data.read_bytes()[:-1])
    elif change == "damaged manifest":
        first.manifest.write_text("[]", encoding="utf-8")
    again = make(tmp_path, "full" if change == "effort" else "quick")
    assert again.origin == "computed"
    assert len(toy.log) == 2
    assert make(tmp_path, "full" if change == "effort" else "quick").origin == "found"


def test_the_picture_is_drawn_from_the_file(toy, tmp_path):
    """What plot is given went through the npz: arrays only, a string as an array."""
    seen = {}
    real = toy.plot
    toy.plot = lambda data: seen.update(data) or real(data)
    made = make(tmp_path)
    with np.load(made.data) as stored:
        assert {k: v.tobytes() for k, v in seen.items()} == {k: stored[k].tobytes() for k in stored.files}
    assert all(isinstance(v, np.ndarray) for v in seen.values())


def test_a_failing_plot_keeps_its_data_and_the_old_picture(toy, tmp_path):
    old = content(make(tmp_path))
    real = toy.plot
    toy.plot = lambda data: 1 / 0
    with pytest.raises(ZeroDivisionError):
        make(tmp_path)
    toy.plot = real
    again = make(tmp_path)
    assert again.origin == "found"
    assert content(again) == old
    assert sorted(p.name for p in tmp_path.glob("toy*")) == ["toy.json", "toy.npz", "toy.png", "toy.svg"]


def test_unknown_names_list_the_known_ones(toy, tmp_path, capsys):
    with pytest.raises(ValueError, match="unknown effort 'slow'; known: quick, full"):
        figures.make(["toy"], "slow", tmp_path)
    with pytest.raises(ValueError, match="unknown figure 'error'; known: toy"):
        figures.make(["toy", "error"], "quick", tmp_path)
    assert toy.log == []  # refused before anything was computed
    with pytest.raises(SystemExit) as left:
        runner.main(["--only", "error"])
    assert left.value.code == 2
    assert "unknown figure 'error'; known: toy" in capsys.readouterr().err


def test_the_runner(toy, tmp_path, capsys):
    assert runner.main(["--only", "toy", "--out", str(tmp_path / "pictures")]) == 0
    assert sorted(p.suffix for p in (tmp_path / "pictures").iterdir()) == [".json", ".npz", ".png", ".svg"]
    assert capsys.readouterr().out.startswith("toy ")
    assert runner.main(["--effort", "full", "--out", str(tmp_path / "pictures")]) == 0
    assert toy.log == ["quick", "full"]
