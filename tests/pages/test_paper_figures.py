"""Figures for papers: the width that was asked for, text of 8 points, panels by letter, captions with parameters."""

import itertools
import json
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

import figures
from figures.__main__ import main
from figures.captions import of_panels
from figures.foreseen import foreseen
from figures.paper import for_paper
from modiff_sim.plot import style
from modiff_sim.plot.page import POINTS, fitted, letters


def made(rows=2, columns=3, legend=True):
    figure, axes = style.grid(rows, columns, height=6.0, sharex=True, sharey="row")
    for (i, j), panel in np.ndenumerate(axes):
        panel.plot([0, 1, 2], [i, j, 2], label="a line")
        panel.set_title(f"panel {i}{j}")
    for panel in axes[-1]:
        panel.set_xlabel("calls")
    for i, panel in enumerate(axes[:, 0]):
        panel.set_ylabel(f"error {i}")
    if legend:
        style.legend(figure, axes[0, 0].get_lines(), columns=1)
    return figure


@pytest.fixture(autouse=True)
def look():
    with style.applied():
        yield


@pytest.mark.parametrize("width", [3.3, 6.8, 9.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 2), (2, 3)])
def test_a_figure_has_the_width_and_text_of_one_size(width, shape):
    figure = fitted(made(*shape), width)
    figure.draw_without_rendering()
    assert figure.get_figwidth() == width
    shown = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert {text.get_fontsize() for text in shown} == {POINTS}
    drawn = figure.get_tightbbox()
    assert drawn.x0 > -0.02
    assert drawn.x1 < width + 0.02
    assert drawn.y1 < figure.get_figheight() + 0.02


def test_panels_have_letters_if_there_are_several():
    several = letters(fitted(made(), 9.0))
    assert [panel.get_title() for panel in several.values()][:2] == ["(a) panel 00", "(b) panel 01"]
    (alone,) = letters(fitted(made(1, 1), 3.3)).values()
    assert alone.get_title() == "panel 00"


def test_chosen_panels_keep_their_letters_and_get_the_labels_that_they_shared():
    figure = fitted(made(), 3.3, ["b", "d"])
    first, second = letters(figure).values()
    assert (first.get_title(), second.get_title()) == ("(b) panel 01", "(d) panel 10")
    assert (first.get_ylabel(), second.get_ylabel()) == ("error 0", "error 1")
    assert second.get_xlabel() == "calls"
    assert first.get_position().x0 < second.get_position().x0  # two fit side by side
    assert figure.get_figheight() < 3
    one = fitted(made(), 3.3, ["e"])
    (panel,) = letters(one).values()
    assert (panel.get_title(), panel.get_xlabel(), panel.get_ylabel()) == ("panel 11", "calls", "error 1")


@pytest.mark.parametrize(("panels", "bars"), [(["a"], 1), (["b", "c"], 1), (["d"], 0), (None, 1)])
def test_a_colour_bar_stays_with_its_panels(panels, bars):
    """The bar of the first row goes where none of its panels is shown, and the layout follows those that are."""
    figure, axes = style.grid(2, 3, height=6.0)
    for panel in axes[0]:
        image = panel.imshow(np.eye(3))
    axes[1, 0].plot([0, 1])
    figure.colorbar(image, ax=axes[0].tolist())
    fitted(figure, 6.8, panels)
    figure.draw_without_rendering()
    assert sum(hasattr(each, "_colorbar_info") for each in figure.axes) == bars
    assert len(letters(figure)) == len(panels or "abcdef")


def test_a_table_is_as_tall_as_its_rows():
    figure, axes = style.grid(1, 2, height=6.0, sharey=True)
    for panel in axes[0]:
        panel.set_yticks(range(20), [f"row {i}" for i in range(20)])
        panel.set_ylim(-0.5, 19.5)
    fitted(figure, 3.3, ["b"])
    figure.draw_without_rendering()
    (panel,) = letters(figure).values()
    boxes = [text.get_window_extent() for text in panel.get_yticklabels() if text.get_visible() and text.get_text()]
    assert len(boxes) == 20
    tops = sorted((box.y0, box.y1) for box in boxes)
    assert all(below[1] <= above[0] + 1 for below, above in itertools.pairwise(tops))


def test_what_does_not_fit_is_refused_with_the_panels_to_choose_from():
    with pytest.raises(
        ValueError, match=r"inches tall, and a page 9.6: choose some panels of: \(a\) panel 00, \(b\) panel 01"
    ):
        fitted(made(6, 3), 1.6)
    with pytest.raises(ValueError, match="there is no panel 'z'; the panels are a, b, c, d, e, f"):
        fitted(made(), 3.3, ["a", "z"])
    with pytest.raises(ValueError, match="width"):
        fitted(made(), 1.0)


def test_a_subfigure_is_fitted_by_itself():
    figure = Figure(figsize=(9, 6), layout="constrained")
    upper, lower = figure.subfigures(2, 1)
    for part, count in ((upper, 4), (lower, 2)):
        for i, panel in enumerate(part.subplots(1, count)):
            panel.plot([0, 1], [0, i])
            panel.set_title(f"{count} {i}")
    fitted(figure, 3.3)
    figure.draw_without_rendering()
    assert list(letters(figure)) == list("abcdef")
    assert upper.axes[2].get_position().y1 < upper.axes[0].get_position().y0  # four are two rows of two


def test_the_command_writes_the_picture_and_its_caption(tmp_path, capsys):
    assert (
        main(["atlas_dimension", "--out", str(tmp_path), "--width", "3.3", "--panels", "b", "--format", "pdf", "svg"])
        == 0
    )
    stem = tmp_path / "atlas_dimension_3.3in_b"
    assert stem.with_name(stem.name + ".pdf").read_bytes().startswith(b"%PDF")
    assert b"<svg" in stem.with_name(stem.name + ".svg").read_bytes()
    caption = stem.with_name(stem.name + ".txt").read_text(encoding="utf-8")
    module = figures.load("atlas_dimension")
    assert caption.startswith(f"{module.TITLE}. {of_panels(module.CAPTION, module.PARTS, ['b'])}\n\n")
    about = json.loads((tmp_path / "atlas_dimension.json").read_text(encoding="utf-8"))
    assert json.dumps(about["params"], ensure_ascii=False, sort_keys=True) in caption
    again = figures.make(["atlas_dimension"], "quick", tmp_path)[0]
    before = stem.with_name(stem.name + ".pdf").read_bytes()
    for_paper(again, 3.3, ["b"], ["pdf"])
    assert stem.with_name(stem.name + ".pdf").read_bytes() == before  # no dates, no random names
    assert main(["atlas_dimension", "--out", str(tmp_path), "--width", "3.3", "--panels", "x"]) == 2
    assert "there is no panel 'x'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["atlas_dimenson"], "did you mean 'atlas_dimension'"),
     (["atlas_dimension", "atlas", "--panels", "a"], "letters of one figure"),
     (["atlas_dimension", "--format", "jpg"], "invalid choice")],
)  # fmt: skip
def test_what_cannot_be_is_refused(arguments, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["violins", "--bits", "4"], ["violins"], ["phase_diagram", "--bits", "4", "3", "2"], ["sample_grids"],
     ["exact_truth", "--effort", "full"], ["violins", "--panels", "z"]],
    ids=" ".join,
)  # fmt: skip
def test_a_figure_that_will_be_too_tall_is_refused_before_anything_is_computed(
    arguments, tmp_path, monkeypatch, capsys
):
    module = figures.load(arguments[0])
    drawn = module.data("quick") if "full" in arguments else None

    def data(effort):
        assert effort == "quick", "computed"
        return drawn

    monkeypatch.setattr(module, "data", data if drawn else None)
    assert main([*arguments, "--width", "3.3", "--format", "png", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr()
    what = (
        "there is no panel 'z'" if "z" in arguments else r"at 3.3 inches this is [\d.]+ inches tall, and a page 9.6: "
    )
    assert re.match(f"figures: {arguments[0]}: {what}", said.err)
    assert (said.out, list(tmp_path.iterdir())) == ("", [])


def test_a_figure_whose_layout_was_not_foreseen_leaves_no_picture_and_others_are_made(tmp_path, capsys):
    assert main(["error_growth", "error_growth_short", "--width", "3.3", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("figures: error_growth: at 3.3 inches")
    found = {path.name for path in tmp_path.iterdir()}
    assert {name for name in found if not name.startswith("error_growth_short")} == {
        "error_growth.npz", "error_growth.json",
    }  # fmt: skip
    assert {"error_growth_short.png", "error_growth_short_3.3in.pdf"} <= found


@pytest.mark.parametrize("bits", [(), (4,), (8, 4, 3)])
@pytest.mark.parametrize("name", [name for name in figures.names() if hasattr(figures.load(name), "outline")])
def test_an_outline_has_the_panels_that_are_asked_for(name, bits):
    module = figures.load(name)
    effort = figures.chosen.effort("quick", None, bits)
    figure = module.plot(foreseen(name, module, effort))
    per_bits, others, own = {"sample_grids": (3, 3, 5), "phase_diagram": (1, 3, 4)}[name]
    assert len(letters(figure)) == others + per_bits * (len(bits) or own)
