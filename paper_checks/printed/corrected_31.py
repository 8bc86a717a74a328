"""(31'): what unrolling the paper's own recursion gives with compensation."""

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, bounds

from .._broken import Dropped, Flipped, Reset, halved, shifted
from .._tight import sup_is_one

ORDER = 16
CLAIM = Claim(
    id="corrected_31",
    statement="(31'): ||o-ô||² ≤ ||A||² [Σ_{k<T-1} (2c)^(age+1)||d_k||² + c(2c)^(T-1-t)||d_{T-1}||²], for every c; "
    "attained after every number of differences (largest error over bound).",
    source="this project, corrects (31)",
    relation="tight",
)


def profiles(c: float, n: int) -> np.ndarray:
    """Return d = 1, q, 2c, ...: Young's inequality is an equality where ||d_k|| equals e so far, e ← q(||d_k||+e)."""
    d, error = [1.0], np.sqrt(c)
    for _ in range(n - 1):
        d.append(error)
        error *= 2 * np.sqrt(c)
    return np.asarray(d)[:, None]


def check(effort: str = "quick", *, recursion="closed_loop", bound=bounds.young_closed_loop) -> Evidence:
    """Show that the bound is never exceeded, and attained at every length."""
    return sup_is_one(recursion, bound, profiles, effort, seed=36)


CONTROLS = [
    ({"bound": halved(bounds.young_closed_loop)}, Verdict.VIOLATED),
    ({"bound": shifted(bounds.young_closed_loop, 1)}, Verdict.VIOLATED),
    ({"bound": shifted(bounds.young_closed_loop, -1)}, Verdict.VIOLATED),
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
    ({"recursion": Dropped()}, Verdict.VIOLATED),
    ({"recursion": Flipped()}, Verdict.VIOLATED),
    ({"recursion": Reset()}, Verdict.VIOLATED),
]
