"""By how much the range must shrink for 3 bits: between 15 times (4 bits) and 8 times (many bits)."""

from collections.abc import Sequence

import numpy as np

from modiff_sim import Claim, Evidence, Verdict, bounds

from .three_bits_dropped import ratios

ORDER = 5
CLAIM = Claim(
    id="three_bits_dropped_corrected",
    statement="3 bits can be dropped at the same bound s²d exactly when the range is (2^b-1)/(2^(b-3)-1) times "
    "smaller: 15, 10.3, 9, 8.5, 8.2 times at b = 4, 5, 6, 7, 8; so 10 times is enough from b = 6 on.",
    source="this project, corrects the corollary",
    relation="equal",
)


def check(effort: str = "quick", *, bits: Sequence[int] = tuple(range(4, 17)), bound=bounds.theorem_4_3) -> Evidence:
    """Compare the factors. The bound is quadratic in the range, so it stays equal at the root of the ratio at 1."""
    got, _ = ratios(bits, 1.0, bound=bound)
    claimed = [(2**b - 1) / (2 ** (b - 3) - 1) for b in bits]
    return Evidence(
        claimed=claimed,
        measured=np.sqrt(got),
        atol=1e-12 * np.asarray(claimed),  # 8 roundings
        note=", ".join(f"{g:.3g}" for g in np.sqrt(got[:5])) + f" times at b = {list(bits[:5])}",
        cases=[f"b = {b} → {b - 3}: {g:.3g} times" for b, g in zip(bits, np.sqrt(got), strict=True)],
    )


CONTROLS = [
    ({"bound": lambda s, d: bounds.theorem_4_3(s, d) ** 0.5}, Verdict.VIOLATED),
]
