"""EF21's constants in the closed loop's recursion: right, attained, and with too long a memory."""

import dataclasses
from collections.abc import Sequence
from functools import partial

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, bounds
from modiff_sim.evidence import Premise

from .._broken import Flipped, halved
from .._tight import CONTRACTIONS, sup_is_one

ORDER = 12
CLAIM = Claim(
    id="young_ef21_constants",
    statement="With compensation, ||e_j||² ≤ q||e_{j-1}||² + c/(1-q)·||d_j||² for every c < 1 (EF21's 1-θ = q and "
    "β = c/(1-q)): attained after every number of differences (largest error over bound).",
    source="this project; EF21 (Richtárik et al. 2021)",
    relation="tight",
)
ef21 = partial(bounds.young_closed_loop, beta="ef21")


def profiles(c: float, n: int) -> np.ndarray:
    """Return d = 1, 1-q, 1-q, ...: the error is always q, so ||d||/||e|| = β and Young's inequality is an equality."""
    d = np.full((n, 1), abs(1 - np.sqrt(c)))
    d[0] = 1
    return d


def check(
    effort: str = "quick", *, recursion="closed_loop", bound=ef21, contractions: Sequence[float] = CONTRACTIONS
) -> Evidence:
    """Show that the bound is never exceeded, and attained by its own profiles.

    The note says what the constant costs: in the bound the norm of an impulse decays by √q per call, in truth by q.
    """
    evidence = sup_is_one(recursion, bound, profiles, effort, seed=400, contractions=contractions)
    n, c = 9, 0.25
    impulse = np.eye(n)[0]
    late = bounds.young_closed_loop(impulse, c, beta="ef21")[-1] / bounds.sharp_closed_loop(impulse, c)[-1]
    least = Premise("c < 1", all(c < 1 for c in contractions), f"c = {list(contractions)}")
    return dataclasses.replace(
        evidence,
        premises=(*evidence.premises, least),
        note=f"{evidence.note}; {n - 1} calls after an impulse, at c = {c:g}, {late:.3g} times too large",
    )


CONTROLS = [
    ({"bound": halved(ef21)}, Verdict.VIOLATED),
    ({"bound": bounds.young_closed_loop}, Verdict.VIOLATED),  # β = 1: true, and not attained
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
    ({"recursion": Flipped()}, Verdict.VIOLATED),
    ({"contractions": (0.25, 1.5)}, Verdict.PREMISE_FAILS),
]
