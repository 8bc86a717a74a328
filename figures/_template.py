"""What the figure shows, in one sentence. This file is a blank form of a figure: copy it to fig_<name>.py here.

Nothing else has to be touched: ``python -m figures``, the report, docs/figures.md and the tests iterate over what is
found. A figure of a trained model imports what it needs inside ``data``, and its caption says what that model stands
in for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

import modiff_sim as ms
from modiff_sim.plot import style

TITLE = "What is to be seen, in a few words"
CAPTION = "What the axes, curves and marks are, how much was drawn, and what a reader should take from it."
ALT = "What there is to see, for those who do not see it: the panels, and how the curves in them run."
# CLAIMS = ("sharp_closed_loop",)  # the ids of the claims that it shows, which link to it
#: effort -> all that decides the data, the seed included: another value is another key
PARAMS: dict[str, dict[str, Any]] = {"quick": {"seed": 0, "trials": 8}, "full": {"seed": 0, "trials": 64}}


def data(effort: str) -> dict[str, np.ndarray]:
    """The arrays that the figure is drawn from; they are saved first, and read back."""
    p = PARAMS[effort]
    r = ms.simulate(ms.processes.random_walk(64), ms.AbsMax(4), steps=20, trials=p["trials"], seed=p["seed"])
    return {"error": r.error}


def plot(data: dict[str, np.ndarray]) -> Figure:
    """The figure, from the arrays alone: ``style`` gives sizes, colours and legends."""
    figure, axes = style.grid(1, 1, height=3.6)
    panel, look = axes[0, 0], style.RECURSION["closed_loop"]
    style.spread(panel, np.arange(len(data["error"])), data["error"], look)
    panel.set_xlabel("model call")
    panel.set_ylabel("error, 2-norm")
    style.legend(figure, [style.key(look)], columns=1)
    return figure
