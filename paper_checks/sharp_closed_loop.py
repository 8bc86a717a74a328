"""The sharp 2-norm bound of the closed loop."""

import numpy as np

from modiff_sim import Claim, Evidence, bounds

from ._tight import sup_is_one

ORDER = 40
CLAIM = Claim(
    id="sharp_closed_loop",
    statement="With compensation, ||o-ô|| ≤ ||A|| Σ_k q^(age+1)||d_k||, q = √c, for every c (below 1/2 and above); "
    "attained after every number of differences (largest error over bound).",
    source="this project, sharpens (31)",
    relation="equal",
)


def profiles(c: float, n: int) -> np.ndarray:
    """Any differences in one direction attain it; equal ones lead to the steady state."""
    return np.column_stack([np.ones(n), np.random.default_rng(40).random((n, 4)) + 0.1])


def check(effort: str = "quick", *, recursion="closed_loop", bound=bounds.sharp_closed_loop) -> Evidence:
    return sup_is_one(recursion, bound, profiles, effort, seed=40)
