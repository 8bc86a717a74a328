"""The same assumption on typical data with one scale for a whole input: it depends on the tails."""

from collections.abc import Sequence

from modiff_sim import Claim, Evidence, MinMax, Verdict

from . import _assumption

ORDER = 9.5
CLAIM = Claim(
    id="assumption_29_typical_per_sample",
    statement="(29) with c < 1/2 on the average of random inputs at 3 bits, one scale for all of 2^17 entries "
    "(round-to-nearest min-max), whether they are normal, Laplace or Student-t5 distributed.",
    source="Theorem 4.4, assumption (29), appendix",
    relation="upper",
    printed=True,
    expected=Verdict.PREMISE_FAILS,
    quote="||x - Q(x)||² ≤ c||x||², 0 < c < 1/2",
    reading="charitable: on the average of random inputs, with one scale per sample (LTQ); 2^17 are 128 channels of "
    "32×32",
    instead=("assumption_29_typical", "measured_c_table", "max_norm_closed_loop"),
)


def check(effort: str = "quick", *, bits: int = 3, dimensions: Sequence[int] = (2**17,), quantizer=MinMax) -> Evidence:
    """Measure the mean c per distribution."""
    return _assumption.typical(dimensions, rows=16 if effort == "quick" else 64, bits=bits, quantizer=quantizer)


CONTROLS = [
    ({"bits": 6}, Verdict.HOLDS),
]
