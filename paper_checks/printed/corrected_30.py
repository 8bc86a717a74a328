"""(30'): what unrolling the paper's own recursion gives without compensation."""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, bounds

from .._broken import halved, shifted
from .._tight import sup_is_one

ORDER = 12
CLAIM = Claim(
    id="corrected_30",
    statement="(30'): ||o-õ||² ≤ c||A||² [Σ_{k<T-1} 2^(age+1)||d_k||² + 2^(T-1-t)||d_{T-1}||²]; attained after every "
    "number of differences (largest error over bound).",
    source="this project, corrects (30)",
    relation="tight",
)


def profiles(c: float, n: int) -> np.ndarray:
    """Return d = 1, 1, 2, 4, 8, ...: Young's inequality is an equality where q||d_k|| equals the error so far."""
    return 2.0 ** np.maximum(np.arange(n) - 1, 0)[:, None]


def check(effort: str = "quick", *, recursion="open_loop", bound=bounds.young_open_loop) -> Evidence:
    """Show that the bound is never exceeded, and attained at every length."""
    return sup_is_one(recursion, bound, profiles, effort, seed=32)


CONTROLS = [
    ({"bound": halved(bounds.young_open_loop)}, Verdict.VIOLATED),
    ({"bound": shifted(bounds.young_open_loop, 1)}, Verdict.VIOLATED),
    ({"bound": shifted(bounds.young_open_loop, -1)}, Verdict.VIOLATED),
    ({"recursion": "closed_loop"}, Verdict.VIOLATED),
]
