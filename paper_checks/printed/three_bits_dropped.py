"""The corollary of Theorem 4.3 that motivates the method: 10 times smaller range, 3 bits fewer, the same bound."""

from collections.abc import Sequence

import numpy as np

from modiff_sim import Claim, Evidence, Floor, Verdict, bounds
from modiff_sim.evidence import Premise

ORDER = 4
ONE_BIT = 4.0  # (2^(b-1) - 1)² over (2^b - 1)² is about 1/4
CLAIM = Claim(
    id="three_bits_dropped",
    statement="A residual whose range is 10 times smaller can drop 3 bits at a comparable bound s²d, whatever the "
    "number of bits b ≥ 4: less than the 4 times by which one dropped bit alone raises it (bound at b-3 bits over "
    "bound at b bits).",
    source='text after Theorem 4.3; the 4 is our reading of "comparable"',
    relation="upper",
    printed=True,
    quote="range more than 10× smaller; at least 3 bits; comparable",
    reading='the text only "suggests" that so many bits can be dropped; "comparable" needs a number: less than what '
    "one dropped bit costs, a factor of 4 in s²",
    instead=("three_bits_dropped_corrected",),
)


def ratios(bits: Sequence[int], factor: float, *, dropped: int = 3, quantizer=Floor, bound=bounds.theorem_4_3):
    """Return (bound of the residual at b - dropped bits)/(bound of the input at b bits), and the ratio of the ranges.

    Scales are those of the quantizer.
    """
    x = np.array([[0.0, 0.25, 1.0]])
    r = x / factor
    got = []
    for b in bits:
        s = [float(quantizer(k).choose_qparams(v).scale[0, 0]) for k, v in ((b, x), (b - dropped, r))]
        got.append(float(bound(s[1], x.size) / bound(s[0], x.size)))
    return np.asarray(got), float(np.ptp(x) / np.ptp(r))


def check(
    effort: str = "quick", *, bits: Sequence[int] = tuple(range(4, 17)), factor: float = 10.0, bound=bounds.theorem_4_3
) -> Evidence:
    """Compare the two bounds at every number of bits."""
    got, found = ratios(bits, factor, bound=bound)
    allowed = ", ".join(str(b) for b, g in zip(bits, got, strict=True) if g <= 1)
    return Evidence(
        claimed=np.full(len(got), ONE_BIT),
        measured=got,
        atol=1e-12,  # two quotients and a square each: 8 roundings, 2e-15
        cases=[
            f"b = {b} → {b - 3}: {g:.3g} times the bound; no more than it for b = {allowed or 'none'}"
            for b, g in zip(bits, got, strict=True)
        ],
        premises=(Premise(f"range {factor:g} times smaller", abs(found - factor) < 1e-12, f"{found:.6g} times"),),
    )


CONTROLS = [
    ({"factor": 7.0}, Verdict.VIOLATED),  # 4.6 times at b = 4
    ({"factor": 5.0, "bits": (8,)}, Verdict.HOLDS),
]
