"""How much a program computes: a name that figures, claims and experiments take.

What it means in numbers stands where it is used: in ``PARAMS`` of a figure, in ``check`` of a claim, and in the
``Effort`` of the experiments with a trained model (``analysis.experiments.sizes``).
"""

from __future__ import annotations

from modiff_sim.names import one_of

#: from the one that takes less to the one that takes more
EFFORTS = ("quick", "full")


def checked(effort: str) -> str:
    """Return the effort. Raises ValueError, which lists the known ones, for another name."""
    one_of("effort", effort, EFFORTS)
    return effort
