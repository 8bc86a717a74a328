"""The sharp 2-norm bound of the closed loop."""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, bounds

from .._broken import Dropped, Flipped, Reset, halved, shifted
from .._tight import sup_is_one

ORDER = 1
CLAIM = Claim(
    id="sharp_closed_loop",
    statement="With compensation, ||o-ô|| ≤ ||A|| Σ_k q^(age+1)||d_k||, q = √c, for every c (below 1/2 and above); "
    "attained after every number of differences (largest error over bound).",
    source="this project, sharpens (31)",
    relation="tight",
)


def profiles(c: float, n: int) -> np.ndarray:
    """Return norms of differences in one direction, which attain the bound; equal ones reach the steady state."""
    return np.column_stack([np.ones(n), np.random.default_rng(40).random((n, 4)) + 0.1])


def check(effort: str = "quick", *, recursion="closed_loop", bound=bounds.sharp_closed_loop) -> Evidence:
    """Show that the bound is never exceeded, and attained at every length."""
    return sup_is_one(recursion, bound, profiles, effort, seed=40)


CONTROLS = [
    ({"bound": halved(bounds.sharp_closed_loop)}, Verdict.VIOLATED),
    ({"bound": shifted(bounds.sharp_closed_loop, 1)}, Verdict.VIOLATED),
    ({"bound": shifted(bounds.sharp_closed_loop, -1)}, Verdict.VIOLATED),
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
    ({"recursion": Dropped()}, Verdict.VIOLATED),
    ({"recursion": Flipped()}, Verdict.VIOLATED),
    ({"recursion": Reset()}, Verdict.VIOLATED),
]
