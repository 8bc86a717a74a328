"""What a reader needs of a picture: nothing clipped, no overlaps or small print, no legend on a panel, no ∞ as an 8."""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from modiff_sim.plot import style


def texts(figure):
    """Every text that is drawn: tick labels only where their tick is in view."""
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            span = (high - low) * 1e-9
            for tick in itertools.chain(axis.get_major_ticks(), axis.get_minor_ticks()):
                if not low - span <= tick.get_loc() <= high + span:
                    hidden |= {id(tick.label1), id(tick.label2)}
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and id(t) not in hidden]


def defects(figure):
    """What is wrong with a figure that was laid out, in words; empty if nothing."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    found = []
    width, height = figure.get_size_inches()
    drawn = figure.get_tightbbox(renderer)
    if drawn.x0 < -0.01 or drawn.y0 < -0.01 or drawn.x1 > width + 0.01 or drawn.y1 > height + 0.01:
        found.append(f"clipped: drawn {drawn.extents} of {width} × {height} inches")
    boxes = [(t, t.get_window_extent(renderer)) for t in texts(figure)]
    for t, _ in boxes:
        if t.get_fontsize() < style.SMALLEST:
            found.append(f"small print: {t.get_text()!r} has {t.get_fontsize()} points")
        if t.get_rotation() and ("∞" in t.get_text() or r"\infty" in t.get_text()):
            found.append(f"{t.get_text()!r}: an infinity sign that lies on its side is an 8")
    for (t, a), (u, b) in itertools.combinations(boxes, 2):
        over = (min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0))
        if min(over) > 1:  # pixels
            found.append(f"overlap: {t.get_text()!r} and {u.get_text()!r}")
    for legend in figure.legends:
        box = legend.get_window_extent(renderer)
        for axes in figure.axes:
            if box.overlaps(axes.get_window_extent(renderer)):
                found.append(f"the legend covers the panel {axes.get_title()!r}")
    return found
