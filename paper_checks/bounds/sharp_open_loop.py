"""The sharp 2-norm bound of the open loop: linear in the norm."""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, bounds

from .._broken import halved, shifted
from .._tight import sup_is_one

ORDER = 2
CLAIM = Claim(
    id="sharp_open_loop",
    statement="Without compensation, ||o-õ|| ≤ q||A|| Σ_k ||d_k||, q = √c: linear in the norms; attained after every "
    "number of differences (largest error over bound).",
    source="this project, sharpens (30)",
    relation="tight",
)


def profiles(c: float, n: int) -> np.ndarray:
    """Return norms of differences in one direction, all of which attain the bound."""
    return np.column_stack([np.ones(n), np.random.default_rng(41).random((n, 4)) + 0.1])


def check(effort: str = "quick", *, recursion="open_loop", bound=bounds.sharp_open_loop) -> Evidence:
    """Show that the bound is never exceeded, and attained at every length."""
    return sup_is_one(recursion, bound, profiles, effort, seed=41)


CONTROLS = [
    ({"bound": halved(bounds.sharp_open_loop)}, Verdict.VIOLATED),
    ({"bound": shifted(bounds.sharp_open_loop, 1)}, Verdict.VIOLATED),
    ({"bound": shifted(bounds.sharp_open_loop, -1)}, Verdict.VIOLATED),
    ({"recursion": "closed_loop"}, Verdict.VIOLATED),
]
