"""(30) as printed, read with k counted in sampling order: the exponent is the age. Still false, by a factor below 2."""

from functools import partial

from modiff_sim import Claim, Evidence, Verdict, bounds

from . import _search

PRINTED = partial(bounds.printed_open_loop, index="sampling")
ORDER = 10
CLAIM = Claim(
    id="printed_30_sampling_order",
    statement="(30) with k counted in sampling order, so that its exponent is the age of the difference: "
    "||o-õ||² ≤ Σ_k 2^age c||A||²||d_k||².",
    source="Theorem 4.4, (30), charitable reading",
    relation="upper",
    printed=True,
    expected=Verdict.VIOLATED,
    quote="Σ_{k=t}^{T-1} 2^(T-k-1) c||A||²||a_k - a_{k+1}||²",
    reading="charitable: k counted in sampling order, so that the exponent is the age of a difference",
    instead=("corrected_30", "sharp_open_loop"),
)


def check(effort: str = "quick", *, recursion="open_loop", bound=PRINTED) -> Evidence:
    """Search for differences whose error exceeds the bound."""
    return _search.printed(recursion, bound, effort, seed=31)


CONTROLS = [
    ({"bound": bounds.young_open_loop}, Verdict.HOLDS),
]
