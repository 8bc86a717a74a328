"""The same assumption on typical data with one scale per channel."""

from collections.abc import Sequence

from modiff_sim import Claim, Evidence, MinMax, Verdict

from . import _assumption

ORDER = 9
CLAIM = Claim(
    id="assumption_29_typical",
    statement="(29) with c < 1/2 on the average of random inputs at 3 bits, one scale per channel of 8×8 to 32×32 "
    "entries (round-to-nearest min-max), whether they are normal, Laplace or Student-t5 distributed.",
    source="Theorem 4.4, assumption (29), appendix",
    relation="upper",
    printed=True,
    quote="||x - Q(x)||² ≤ c||x||², 0 < c < 1/2",
    reading="charitable: on the average of random inputs, with channel-wise scales (LCQ)",
    instead=("assumption_29_typical_per_sample", "measured_c_table"),
)


def check(
    effort: str = "quick", *, bits: int = 3, dimensions: Sequence[int] = (64, 256, 1024), quantizer=MinMax
) -> Evidence:
    """Measure the mean c per dimension and distribution."""
    rows = 200 if effort == "quick" else 2000
    return _assumption.typical(dimensions, rows=rows, bits=bits, quantizer=quantizer)


CONTROLS = [
    ({"bits": 1}, Verdict.PREMISE_FAILS),
]
