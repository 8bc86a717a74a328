"""Exploring quantizer assumptions: what a page of controls shows, as plain functions, and the page itself.

    settings   what can be moved: quantizer, inputs, drift, steps, recursion, warm-up, refresh
    view       what is seen: errors against all bounds, c and κ, bits saved, verdicts with their premises
    saving     a view as a claim or as a figure: a file that reproduces it
    words      what the page says, and a view as pictures and tables
    page       the page (marimo): ``modiff-sim explore``, extra [explore]

>>> from modiff_sim.explore import Settings, look
>>> view = look(Settings(quantizer="absmax", bits=3, d=64, steps=20, trials=4))
>>> [row["verdict"] for row in view.verdicts if row["bound"] == "max norm"]
['HOLDS']
"""

from .saving import as_claim, as_figure, evidence
from .settings import Settings
from .view import View, look

__all__ = ["Settings", "View", "as_claim", "as_figure", "evidence", "look"]
