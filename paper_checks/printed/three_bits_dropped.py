"""The corollary of Theorem 4.3 that motivates the method: 10 times smaller range, 3 bits fewer, the same bound."""

from collections.abc import Sequence

import numpy as np

from modiff_sim import Claim, Evidence, Floor, Verdict, bounds
from modiff_sim.evidence import Premise

ORDER = 4
CLAIM = Claim(
    id="three_bits_dropped",
    statement="A residual whose range is 10 times smaller can drop 3 bits at the same bound s²d, whatever the number "
    "of bits b ≥ 4 (bound at b-3 bits over bound at b bits).",
    source="corollary of Theorem 4.3",
    relation="upper",
    printed=True,
    expected=Verdict.VIOLATED,
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


def check(effort: str = "quick", *, bits: Sequence[int] = tuple(range(4, 17)), bound=bounds.theorem_4_3) -> Evidence:
    """Compare the two bounds at every number of bits."""
    got, factor = ratios(bits, 10.0, bound=bound)
    allowed = ", ".join(str(b) for b, g in zip(bits, got, strict=True) if g <= 1)
    return Evidence(
        claimed=np.ones(len(got)),
        measured=got,
        atol=1e-12,  # two quotients and a square each: 8 roundings, 2e-15; 1 is crossed at 0.97 and 1.07
        cases=[
            f"b = {b} → {b - 3}: the bound grows {g:.3g}-fold; it does not grow for b = {allowed}"
            for b, g in zip(bits, got, strict=True)
        ],
        premises=(Premise("range 10 times smaller", abs(factor - 10) < 1e-12, f"{factor:.6g} times"),),
    )


CONTROLS = [
    ({"bits": (6, 7, 8)}, Verdict.HOLDS),
    ({"bits": (5,)}, Verdict.VIOLATED),
]
