"""Whether points of curves can be seen: each curve is drawn alone, and looked for where its points are."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg


def unseen(axes):
    """(label, point) of the finite points above 0 within these Axes that leave no mark where they are."""
    canvas = FigureCanvasAgg(axes.figure)
    canvas.draw()  # decides the layout
    axes.figure.set_layout_engine("none")
    everything = [*axes.lines, *axes.collections, *axes.patches, *axes.texts, axes.xaxis, axes.yaxis]
    everything += [*axes.spines.values(), *axes.figure.legends, *filter(None, [axes.get_legend()])]
    before = {each: each.get_visible() for each in everything}
    found = []
    for line in axes.lines:
        for each in everything:
            each.set_visible(each is line)
        canvas.draw()
        picture = np.asarray(canvas.buffer_rgba())[..., :3].min(axis=-1)
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        for point, (right, up) in enumerate(line.get_transform().transform(np.column_stack([x, y]))):
            if not np.isfinite([x[point], y[point], right, up]).all() or y[point] <= 0:
                continue
            row, column = round(len(picture) - up), round(right)
            near = picture[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5]
            if near.min(initial=255) > 200:
                found.append((line.get_label(), point))
    for each, visible in before.items():
        each.set_visible(visible)
    return found
