"""Does (29) hold with the c < 1 that the main text prints, for every input, at the dimension of a layer?"""

from collections.abc import Sequence

from modiff_sim import Claim, Evidence, Floor, MinMax, Verdict

from . import _assumption

ORDER = 7.5
CLAIM = Claim(
    id="assumption_29_main_text",
    statement="(29) ||x - Q(x)||² ≤ c||x||² with c < 1 for every input at 3 bits and the dimension of a layer "
    "(round-to-nearest min-max, whose range includes zero; one scale for all d entries).",
    source="Theorem 4.4, assumption (29), main text",
    relation="upper",
    printed=True,
    quote="||x - Q(x)||² ≤ c||x||², 0 < c < 1",
    reading="as the main text prints it; for every input, as the theorem needs it",
    instead=("c_below_half_needed", "sharp_closed_loop"),
)


def check(
    effort: str = "quick", *, quantizer=MinMax, bits: int = 3, dimensions: Sequence[int] = (128, 1024, 4096)
) -> Evidence:
    """Search for the largest c. Since the assumption itself is tested, an input that breaks it is a counter-example."""
    return _assumption.worst_case(_assumption.MAIN_TEXT, dimensions, bits=bits, quantizer=quantizer)


CONTROLS = [
    ({"quantizer": Floor}, Verdict.VIOLATED),  # rounding down has no such bound
]
