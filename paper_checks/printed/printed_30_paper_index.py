"""(30) as printed, with the paper's own index: the newest difference has weight 2^(T-t-1), the oldest 1."""

from functools import partial

from modiff_sim import Claim, Evidence, Verdict, bounds

from . import _search

PRINTED = partial(bounds.printed_open_loop, index="paper")
ORDER = 11
CLAIM = Claim(
    id="printed_30_paper_index",
    statement="Without compensation, ||o_t-õ_t||² ≤ Σ_{k=t}^{T-1} 2^(T-k-1) c||A||²||d_k||², T being the first step.",
    source="Theorem 4.4, (30)",
    relation="upper",
    printed=True,
    expected=Verdict.VIOLATED,
    quote="Σ_{k=t}^{T-1} 2^(T-k-1) c||A||²||a_k - a_{k+1}||²",
    reading="as printed: T is the first step",
    instead=("printed_30_sampling_order", "corrected_30", "sharp_open_loop"),
)


def check(effort: str = "quick", *, recursion="open_loop", bound=PRINTED) -> Evidence:
    """Search for differences whose error exceeds the bound."""
    return _search.printed(recursion, bound, effort, seed=30)


CONTROLS = [
    ({"bound": bounds.young_open_loop}, Verdict.HOLDS),
]
