"""Does (29) hold with the c < 1/2 that Theorem 4.4 needs, for every input, at the dimension of a layer?"""

from collections.abc import Sequence

from modiff_sim import AbsMax, Claim, Evidence, Verdict, contraction
from modiff_sim.evidence import Premise

ORDER = 8
CLAIM = Claim(
    id="assumption_29_real_dimension",
    statement="(29) ||x - Q(x)||² ≤ c||x||² with c < 1/2 for every input at 3 bits and the dimension of a layer "
    "(round-to-nearest absmax).",
    source="Theorem 4.4, assumption (29)",
    relation="upper",
    printed=True,
    expected=Verdict.VIOLATED,
    quote="||x - Q(x)||² ≤ c||x||², 0 < c < 1/2",
    reading="for every input, as the theorem needs it",
    instead=("absmax_worst_case_c", "max_norm_closed_loop"),
)


def check(
    effort: str = "quick", *, quantizer=AbsMax, bits: int = 3, dimensions: Sequence[int] = (128, 1024, 4096)
) -> Evidence:
    """Search for the largest c. Since the assumption itself is tested, an input that breaks it is a counter-example."""
    Q = quantizer(bits)
    found = [contraction.search(Q, d, tries=12, rounds=1, seed=22) for d in dimensions]
    cases = []
    for d, worst in zip(dimensions, found, strict=True):
        x = worst.x[0] / float(Q.choose_qparams(worst.x).scale[0, 0])
        far = int((abs(x) > 0.5 + 1e-3).sum())
        cases.append(f"d = {d}: x with {far} of {d} entries beyond half a step, c = {worst.value:.4f}")
    return Evidence(
        claimed=[0.5] * len(found),
        measured=[w.value for w in found],
        cases=cases,
        seed=22,
        premises=(Premise("layers have more than 4·qmax² entries", min(dimensions) > 4 * Q.qmax**2),),
    )


CONTROLS = [
    ({"dimensions": (36,)}, Verdict.PREMISE_FAILS),
    ({"bits": 6, "dimensions": (4096,)}, Verdict.VIOLATED),
]
