"""The picture of a comparison: the front against brute force, every arm with its name, ticks that can be read."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot
from readable import defects, texts

from modiff_sim.nn import Comparison
from modiff_sim.nn.comparison.pictures import COSTS, QUALITIES
from modiff_sim.nn.comparison.table import FULL
from modiff_sim.plot.pareto import BEYOND, Point, front

INF = float("inf")


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def row(arm, recursion, relative, bits, psnr, ssim, l2, equal=0):
    return {
        "arm": arm, "recursion": recursion, "images": 3, "equal": equal, "psnr": psnr, "ssim": ssim, "relative_l2": l2,
        "gbops": 15.67 * relative, "relative_bops": relative, "total_bits": bits, "state_mib": 0.0,
        "total_share": 0.998,
    }  # fmt: skip


#: of the digits model: costs span two and a half decades, one arm is equal to full precision, and one in the median
ROWS = [
    row(FULL, "full_precision", 1.0, 32.0, INF, 1.0, 0.0, 3),
    row("W8A8", "direct", 0.0645, 8.05, 39.6, 0.999, 0.0279),
    row("W6A6", "direct", 0.0372, 6.06, 20.5, 0.9262, 0.2785),
    row("W4A4", "direct", 0.0177, 4.06, 9.7, 0.37, 0.8754),
    row("W3A3", "direct", 0.0109, 3.06, -2.3, -0.0323, 3.4935),
    row("W2A2", "direct", 0.006, 2.06, -17.6, 0.0071, 20.2381),
    row("W8A8, MoDiff", "closed_loop", 0.1113, 14.04, 42.6, 0.9996, 0.0198),
    row("W8A6, MoDiff", "closed_loop", 0.0996, 12.54, 38.8, 0.999, 0.0304),
    row("W8A4, MoDiff", "closed_loop", 0.0879, 11.04, 25.2, 0.9859, 0.1467),
    row("W8A3, MoDiff", "closed_loop", 0.082, 10.3, 17.2, 0.8264, 0.369),
    row("exact", "direct", 1.0, 32.0, INF, 1.0, 0.0, 3),
    row("exact too", "direct", 1.0, 32.0, INF, 1.0, 0.0, 2),
    row("zero", "direct", 0.0021, 0.07, -18.6, 0.0075, 22.6831),
    row("W4A4, open loop", "open_loop", 0.045, 11.04, 14.4, 0.7577, 0.5075),
    row("DeepCache", "direct", 0.6865, 21.97, 16.2, 0.7771, 0.4101),
]
SHOWN = ["psnr", "ssim", "relative_l2"]


def drawn(rows, **columns):
    axes = Comparison(rows, {}, {}).plot.pareto(**columns)
    axes.figure.draw_without_rendering()
    return axes


def best(points, more):
    """The points that no other one beats, one after the other."""

    def beats(a, b):
        better = a[1] >= b[1] if more else a[1] <= b[1]
        return a[0] <= b[0] and better and a != b

    return sorted({p for p in points if not any(beats(q, p) for q in points)})


values = st.one_of(st.integers(0, 6).map(float), st.just(INF))


@given(st.lists(st.tuples(st.integers(0, 6).map(float), values), min_size=1, max_size=8), st.booleans())
def test_the_front_is_what_nothing_beats(points, more):
    found = front([Point(str(i), *point) for i, point in enumerate(points)], more_is_better=more)
    assert [(p.cost, p.quality) for p in found] == best(points, more)
    assert all(points[int(p.name)] == (p.cost, p.quality) for p in found)


@pytest.mark.parametrize(("cost", "quality"), [*itertools.product(COSTS, SHOWN)])
def test_the_picture_joins_the_front_and_names_every_arm(cost, quality):
    axes = drawn(ROWS, cost=cost, quality=quality)
    assert defects(axes.figure) == []
    arms = [r for r in ROWS if r["arm"] != FULL]
    written = [t.get_text() for t in axes.texts if t.get_text()]
    assert written == [r["arm"] for r in arms]
    _, logarithmic, more = QUALITIES[quality]
    points = best([(r[cost], r[quality]) for r in arms], more)
    visible = [p for p in points if np.isfinite(p[1]) and not (logarithmic and p[1] == 0)]
    joined = [line for line in axes.lines if line.get_linestyle() == "-" and len(line.get_xdata()) > 2]
    assert [[*zip(*line.get_data(), strict=True)] for line in joined] == [visible]
    for text in axes.texts:
        where = axes.transAxes.inverted().transform(text.get_window_extent(axes.figure.canvas.get_renderer()))
        assert (where > -0.05).all()
        assert (where[:, 1] < 1.05).all()
    assert crossed(axes) == []


def crossed(axes):
    """The names that a line goes through."""
    lines = [line.get_path().transformed(line.get_transform()) for line in axes.lines if line.get_linestyle() != "None"]
    boxes = {t.get_text(): t.get_window_extent() for t in axes.texts if t.get_text()}
    return [name for name, box in boxes.items() if any(line.intersects_bbox(box, filled=False) for line in lines)]


@pytest.mark.parametrize(("quality", "way"), [("psnr", "up"), ("relative_l2", "down")])
def test_arms_that_equal_full_precision_are_at_the_edge(quality, way):
    """One arrow for the arm that is equal in the median, a double one where all images are."""
    axes = drawn(ROWS, quality=quality)
    for arrow in (rf"$\{way}arrow$", rf"$\{way.title()}arrow$"):
        (mark,) = [line for line in axes.lines if line.get_marker() == arrow and len(line.get_xdata())]
        (x, y), *_ = axes.transAxes.inverted().transform(mark.get_transform().transform(mark.get_xydata()))
        wanted, _ = axes.transAxes.inverted().transform(axes.transData.transform((1.0, 1.0)))
        assert x == pytest.approx(wanted)
        assert abs(y - (quality == "psnr")) < 0.05
    for rows, said in ((ROWS, {*BEYOND[1:]}), (ROWS[:7], set()), (ROWS[:11], {"equal"}), (ROWS[:10] + ROWS[11:12],
                       {"equal in the median"})):  # fmt: skip
        texts_of = {t.get_text() for t in drawn(rows, quality=quality).figure.legends[0].get_texts()}
        assert texts_of & {*BEYOND} == said


def test_arms_that_cost_nothing_are_at_the_edge():
    rows = [*ROWS, row("nothing", "direct", 0.0, 0.0, -20.0, 0.0, 30.0), row("free", "direct", 0.0, 0.0, INF, 1.0, 0.0)]
    for quality in SHOWN:
        axes = drawn(rows, quality=quality)
        assert defects(axes.figure) == []
        assert {"nothing", "free"} <= {t.get_text() for t in axes.texts}
        assert BEYOND[0] in [t.get_text() for t in axes.figure.legends[0].get_texts()]
        assert np.isfinite(axes.get_xlim()).all()
    legend = drawn(rows, cost="total_bits").figure.legends[0]
    assert BEYOND[0] not in [t.get_text() for t in legend.get_texts()]


def test_a_picture_of_nothing_but_exact_arms_has_no_numbers():
    axes = drawn([ROWS[0], *(r for r in ROWS if r["arm"].startswith("exact"))])
    assert defects(axes.figure) == []
    assert {"exact", "exact too"} <= {t.get_text() for t in axes.texts}
    assert not axes.get_yticks().size


@pytest.mark.parametrize("top", [0.97, 0.0013])
@pytest.mark.parametrize("decades", [0.0, 0.01, 0.1, 0.25, 0.3, 0.4, 0.7, 1.0, 1.8, 2.4, 3.5, 5.0])
def test_ticks_can_be_read_whatever_the_costs_span(decades, top):
    shares = top * 10.0 ** np.linspace(-decades, 0, 3)
    rows = [ROWS[0], *(row(f"a{i}", "direct", x, 4.0, 20.0 + i, 0.5, x) for i, x in enumerate(shares))]
    for cost in ("relative_bops", "gbops"):
        axes = drawn(rows, cost=cost, quality="relative_l2")
        assert defects(axes.figure) == []
        labels = numbers(axes)
        assert 3 <= len(labels) <= 11
        assert len(set(labels)) == len(labels)


def numbers(axes):
    """What is written along x."""
    seen = {id(t) for t in texts(axes.figure)}
    return [t.get_text() for t in axes.get_xticklabels() + axes.get_xticklabels(minor=True) if id(t) in seen]


def test_numbers_along_the_costs_are_shares_in_percent():
    axes = drawn(ROWS[:7])
    low, high = axes.get_xlim()
    assert low < 0.01 < 0.1 < high
    assert {"1 %", "10 %"} <= {*numbers(axes)} <= {"0.5 %", "1 %", "2 %", "5 %", "10 %", "20 %", "50 %"}


def test_a_picture_on_axes_of_ones_own():
    _, mine = pyplot.subplots(layout="constrained")
    assert Comparison(ROWS, {}, {}).plot.pareto(mine) is mine
    mine.figure.draw_without_rendering()
    assert {r["arm"] for r in ROWS[1:]} == {t.get_text() for t in mine.texts if t.get_text()}


def test_what_there_is_no_picture_of():
    found = Comparison(ROWS, {}, {})
    assert dir(found.plot) == ["pareto"]
    with pytest.raises(ValueError, match=r"unknown cost 'bops'; known: relative_bops, gbops, .*"):
        found.plot.pareto(cost="bops")
    with pytest.raises(ValueError, match="kernel_distance was not measured"):
        found.plot.pareto(quality="kernel_distance")
    unknown = [ROWS[0], ROWS[1] | {"relative_bops": float("nan")}]
    with pytest.raises(ValueError, match="relative_bops is unknown: no call was entered through the model itself"):
        Comparison(unknown, {}, {}).plot.pareto()
    assert Comparison(ROWS[:3], {}, {})._repr_html_().count("<tr>") == 4
