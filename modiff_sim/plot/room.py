"""Room within a panel that was laid out: for the names of its curves, and for a legend of its own."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text

STEP, MOST = 0.12, 6  # of the height of a panel that is added at a time, and how often


def names(panel: Axes) -> None:
    """Move texts that stand in a column, such as the names at the ends of curves, off each other."""
    columns: dict[float, list[Text]] = {}
    for text in panel.texts:
        if type(text) is Text and text.get_transform() == panel.transData and text.get_text():
            columns.setdefault(float(text.get_position()[0]), []).append(text)
    for texts in columns.values():
        texts.sort(key=lambda each: each.get_window_extent().y0)
        for below, above in itertools.pairwise(texts):
            low, high = below.get_window_extent(), above.get_window_extent()
            if 0 < (over := low.y1 - high.y0) < min(low.height, high.height):
                _move(panel, below, -over / 2)
                _move(panel, above, over / 2)


def _move(panel: Axes, text: Text, pixels: float) -> None:
    """Move a text up by so many pixels."""
    x, y = panel.transData.transform(text.get_position())
    text.set_position(tuple(panel.transData.inverted().transform((x, y + pixels))))


def above(panel: Axes) -> None:
    """Raise the upper limit until no curve runs through the legend of a panel, if it has one."""
    legend: Any = panel.get_legend()
    if legend is None:
        return
    curves = [line for line in panel.lines if np.size(line.get_xdata())]
    for _ in range(MOST):
        box = legend.get_window_extent()
        paths = (line.get_transform().transform_path(line.get_path()) for line in curves)
        if not any(path.intersects_bbox(box, filled=False) for path in paths):
            return
        top = panel.bbox.y1 + STEP * panel.bbox.height
        (_, low), (_, high) = panel.transData.inverted().transform([(0, panel.bbox.y0), (0, top)])
        panel.set_ylim(low, high)
