"""(31) as printed, with the paper's own index: the newest difference has the smallest weight, (2c)^(T-t-1)."""

from functools import partial

from modiff_sim import Claim, Evidence, Verdict, bounds

from . import _search

PRINTED = partial(bounds.printed_closed_loop, index="paper")
ORDER = 14
CLAIM = Claim(
    id="printed_31_paper_index",
    statement="With compensation, ||o_t-ô_t||² ≤ Σ_{k=t}^{T-1} (2c)^(T-k-1) ||A||²||d_k||², T being the first step.",
    source="Theorem 4.4, (31)",
    relation="upper",
    printed=True,
    expected=Verdict.VIOLATED,
    quote="Σ_{k=t}^{T-1} (2c)^(T-k-1) ||A||²||a_k - a_{k+1}||²",
    reading="as printed: T is the first step",
    instead=("printed_31_sampling_order", "corrected_31", "sharp_closed_loop"),
)


def check(effort: str = "quick", *, recursion="closed_loop", bound=PRINTED) -> Evidence:
    """Search for differences whose error exceeds the bound."""
    return _search.printed(recursion, bound, effort, seed=33)


CONTROLS = [
    ({"bound": bounds.young_closed_loop}, Verdict.HOLDS),
    ({"bound": partial(bounds.printed_closed_loop, index="sampling")}, Verdict.HOLDS),
]
