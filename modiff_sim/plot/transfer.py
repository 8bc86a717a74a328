"""Where errors go: predicted and measured errors per call, and RMS gains of layers and calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from . import heat, lone, panels, style


def predicted(axes: Axes, values: np.ndarray, look: style.Look, **options: Any) -> None:
    """Draw predicted errors per call, (calls,), as a line. The 0 of an exact start is left out."""
    shown = panels.positive(values)
    axes.plot(np.arange(len(values)), shown, **({"color": look.colour} | lone.marks(shown, look) | options))


def measured(axes: Axes, values: np.ndarray, look: style.Look, **options: Any) -> None:
    """Draw measured errors per call, (calls,), as markers, about eight of them."""
    every = max(1, len(values) // 8)
    marks: dict[str, Any] = {"ls": "", "marker": "o", "ms": 4, "markevery": (every // 2, every)}
    axes.plot(np.arange(len(values)), panels.positive(values), color=look.colour, **marks, **options)


def gains(axes: Axes, values: np.ndarray, layers: Sequence[str], what: str) -> None:
    """Draw RMS gains (layers, columns) as colours, with a colour bar; ``what`` says of what."""
    image = heat.table(axes, np.where(values > 0, values, np.nan), layers, heat.logarithmic(values))
    heat.bar(image, axes, what)
