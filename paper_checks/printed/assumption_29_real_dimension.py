"""Does (29) hold with the c < 1/2 of the appendix, for every input, at the dimension of a layer?"""

from collections.abc import Sequence
from dataclasses import replace

from modiff_sim import Claim, Evidence, MinMax, Verdict

from . import _assumption

ORDER = 8
CLAIM = Claim(
    id="assumption_29_real_dimension",
    statement="(29) ||x - Q(x)||² ≤ c||x||² with c < 1/2 for every input at 3 bits and the dimension of a layer "
    "(round-to-nearest min-max, whose range includes zero; one scale for all d entries).",
    source="Theorem 4.4, assumption (29), appendix",
    relation="upper",
    printed=True,
    expected=Verdict.PREMISE_FAILS,
    quote="||x - Q(x)||² ≤ c||x||², 0 < c < 1/2",
    reading="as the appendix has it; for every input, as the theorem needs it",
    instead=("assumption_29_main_text", "c_below_half_needed", "absmax_worst_case_c", "max_norm_closed_loop"),
)


def check(
    effort: str = "quick", *, quantizer=MinMax, bits: int = 3, dimensions: Sequence[int] = (128, 1024, 4096)
) -> Evidence:
    """Search for the largest c. Where it is 1/2 or more, Theorem 4.4 says nothing."""
    found = _assumption.worst_case(_assumption.APPENDIX, dimensions, bits=bits, quantizer=quantizer)
    return replace(found, premises=_assumption.below(_assumption.APPENDIX, found.measured, found.cases))


CONTROLS = [
    ({"dimensions": (64,)}, Verdict.HOLDS),
    ({"bits": 6}, Verdict.HOLDS),
]
