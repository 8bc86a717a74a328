"""Panels that are cut out of a figure: their legend, labels and titles, notes, ticks and caption, and no others'."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from readable import defects

import figures
from figures.captions import PLACE, of_panels
from modiff_sim.plot import page, style
from modiff_sim.plot.legends import kept
from modiff_sim.plot.page import fitted, letters


@pytest.fixture(autouse=True)
def look():
    with style.applied():
        yield


def entries(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def two_by_two():
    """Titles above, labels at the side; every panel has other curves, and other limits."""
    figure, axes = style.grid(2, 2, height=5.0)
    for (i, j), panel in np.ndenumerate(axes):
        panel.plot([1, 10], [i + 1, 2 + j], color=style.PALETTE[2 * i + j], marker="so^v"[2 * i + j])
        panel.set_xscale("log")
    axes[0, 1].axhline(1, color="black", ls="--")
    for j in (0, 1):
        axes[0, j].set_title(f"column {j}")
        axes[1, j].set_xlabel("calls")
    axes[0, 0].set_ylabel("error")
    axes[1, 0].set_ylabel("ratio")
    keys = [Line2D([], [], color=style.PALETTE[i], marker="so^v"[i], label=str(i)) for i in range(4)]
    generic = [Line2D([], [], color="black", ls=ls, label=of) for ls, of in (("--", "limit"), ("-", "curve"))]
    style.legend(figure, [*keys, *generic, Patch(color="#123456", label="elsewhere")], columns=3)
    page.noted(figure, {axes[0, 0]: ["off 5"], axes[1, 1]: ["off 7", "off 8"]}, "values: ")
    return figure


@pytest.mark.parametrize(
    ("panels", "legend", "note"),
    [("a", ["0", "curve"], "values: off 5"), ("b", ["1", "limit", "curve"], ""),
     ("d", ["3", "curve"], "values: off 7; off 8"),
     ("ab", ["0", "1", "limit", "curve"], "values: off 5"),
     ("abcd", ["0", "1", "2", "3", "limit", "curve"], "values: off 5; off 7; off 8")],
)  # fmt: skip
def test_a_cut_figure_has_the_entries_and_notes_of_its_panels(panels, legend, note):
    figure = fitted(two_by_two(), 3.3, list(panels))
    assert entries(figure) == [*legend, "elsewhere"]  # which is like nothing, so that nobody knows
    assert " ".join(figure._supxlabel.get_text().split()) == note
    assert defects(figure) == []


def test_a_panel_has_the_title_of_its_column_and_the_label_of_its_neighbour():
    for letter, title, label in (("c", "column 0", "ratio"), ("d", "column 1", "ratio"), ("b", "column 1", "error")):
        (panel,) = letters(fitted(two_by_two(), 3.3, [letter])).values()
        assert (panel.get_title(), panel.get_ylabel(), panel.get_xlabel()) == (title, label, "calls")
    whole = fitted(two_by_two(), 3.3)
    assert [p.get_title() for p in letters(whole).values()] == [
        "(a) column 0", "(b) column 1", "(c) column 0", "(d) column 1"
    ]  # fmt: skip
    wide = fitted(two_by_two(), 12.0)  # as it was: titles above the columns are enough
    assert [p.get_title() for p in letters(wide).values()][2:] == ["", ""]


def test_a_label_is_taken_from_panels_with_such_an_axis_only():
    figure, axes = style.grid(1, 3, height=3.0)
    axes[0, 0].set_ylabel("likelihood")
    axes[0, 1].set(ylabel="distance", yscale="log")
    axes[0, 2].set_yscale("log")
    (panel,) = letters(fitted(figure, 3.3, ["c"])).values()
    assert panel.get_ylabel() == "distance"
    figure, axes = style.grid(1, 2, height=3.0)
    axes[0, 0].set(ylabel="distance", yscale="log")
    axes[0, 1].set_yticks([0, 1], ["input", "residual"])
    (panel,) = letters(fitted(figure, 3.3, ["b"])).values()
    assert panel.get_ylabel() == ""


def test_ticks_of_a_logarithmic_axis_keep_their_numbers():
    figure, axes = style.grid(1, 1, height=3.0)
    axes[0, 0].plot([1, 1e6], [0, 1])
    style.logarithmic(axes[0, 0], which="x")
    fitted(figure, 3.3)
    figure.draw_without_rendering()
    assert sum(t.get_visible() and bool(t.get_text()) for t in axes[0, 0].get_xticklabels()) >= 5


def test_a_curve_does_not_run_through_the_legend_of_its_panel():
    figure, axes = style.grid(1, 1, height=3.0)
    axes[0, 0].plot([0, 1], [1, 1], label="a curve at the top")
    axes[0, 0].plot([0, 1], [0, 0.9], label="and another one")
    axes[0, 0].legend(loc="upper left")
    fitted(figure, 3.3)
    figure.draw_without_rendering()
    box = axes[0, 0].get_legend().get_window_extent()
    for line in axes[0, 0].lines:
        assert not line.get_transform().transform_path(line.get_path()).intersects_bbox(box, filled=False)


def test_names_at_the_ends_of_curves_are_moved_off_each_other():
    figure, axes = style.grid(1, 1, height=3.0)
    for y, name in ((0.50, "one"), (0.53, "two"), (0.9, "three")):
        axes[0, 0].text(1.0, y, name, va="center")
    fitted(figure, 3.3)
    figure.draw_without_rendering()
    boxes = sorted((t.get_window_extent() for t in axes[0, 0].texts), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 + 0.5 for low, high in itertools.pairwise(boxes))
    assert axes[0, 0].texts[2].get_position() == (1.0, 0.9)


def test_an_area_explains_a_curve_of_its_colour_in_another_panel():
    _, axes = style.grid(1, 2, height=3.0)
    axes[0, 0].fill_between([0, 1], [0, 1], color="#E69F00")
    axes[0, 1].plot([0, 1], color="#E69F00")
    axes[0, 1].plot([0, 2], color="#E69F00", ls=":")
    handles = [Patch(color="#E69F00"), Line2D([], [], color="#E69F00", ls=":"), Patch(color="#0072B2")]
    panels = [*axes[0]]
    assert kept(handles, panels, panels[:1]) == [True, False, True]  # the last is like nothing anywhere
    assert kept(handles, panels, panels[1:]) == [True, True, True]


# the figures of this project -----------------------------------------------------------------------------------------


#: what is in a place of every panel
WITHIN = ("Below each", "Lower number")


def test_parts_of_captions_are_found_in_them_and_name_panels():
    with_places = []
    for name in figures.names():
        module = figures.load(name)
        parts = getattr(module, "PARTS", {})
        at = 0
        for begin in parts:
            at = module.CAPTION.index(begin, at) + len(begin)  # in this order
        for sentence in module.CAPTION.split(". "):
            if PLACE.match(sentence) and not sentence.startswith(WITHIN):
                assert any(sentence.startswith(begin.strip(": ,")) for begin in parts), (name, sentence)
        with_places += [name] * bool(parts)
    assert len(with_places) >= 15


@pytest.mark.parametrize("name", ["error_growth", "one_percent", "atlas_dimension", "bounds_per_norm"])
def test_each_panel_of_a_figure_can_be_read_alone(name, tmp_path):
    (made,) = figures.make([name], "quick", tmp_path)
    with np.load(made.data, allow_pickle=False) as archive:
        data = {key: archive[key] for key in archive.files}
    module = figures.load(name)
    known = list(letters(module.plot(data)))
    parts = getattr(module, "PARTS", {})
    assert set("".join(parts.values())) <= set(known)
    every = [to_hex(style.RECURSION[loop].colour) for loop in style.LOOPS]
    for letter in known[:: max(1, len(known) // 6)]:
        figure = fitted(module.plot(data), 3.3, [letter])
        figure.draw_without_rendering()
        assert defects(figure) == []
        (panel,) = letters(figure).values()
        drawn = {to_hex(line.get_color()) for line in panel.lines}
        for legend in figure.legends:
            told = {to_hex(h.get_color()) for h in legend.legend_handles if isinstance(h, Line2D)}
            assert told & {*every} <= drawn
        text = of_panels(module.CAPTION, parts, [letter])
        for begin, about in parts.items():
            assert not about or letter in about or begin not in text


def test_a_caption_of_some_panels_counts_no_others():
    module = figures.load("violins")
    for shown in ("ab", "a", "abcdef"):
        assert of_panels(module.CAPTION, module.PARTS, shown).startswith("Inputs of some layers of the full-precision")
