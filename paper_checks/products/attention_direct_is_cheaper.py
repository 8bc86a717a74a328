"""Whether attention should be modulated as the layers are."""

import numpy as np

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from .._mixture import interval
from ._attention import SIZES, errors, everything, median_ratio

ORDER = 7
CLAIM = Claim(
    id="attention_direct_is_cheaper",
    statement=f"{STAND_IN}: a closed loop makes 4-bit attention better than direct quantization does, but direct "
    "quantization at 8 bits has a smaller error still and takes fewer bit operations than float references do "
    "(closed/direct at 4 bits, direct at 8/closed at 4: error, bit operations; all at most 1).",
    source="this project, on section 14 of the theory",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, recursion: str = "closed_loop", direct_bits: int = 8) -> Evidence:
    """Compare errors and bit operations of modulated and directly quantized attention."""
    loop, loop_bops = errors(effort, attention=everything(4, recursion))
    same, _ = errors(effort, attention=everything(4, "direct"))
    direct, direct_bops = errors(effort, attention=everything(direct_bits, "direct"))
    found = [interval(median_ratio, loop, same), interval(median_ratio, direct, loop), [direct_bops / loop_bops] * 3]
    ratio, low, high = (list(x) for x in zip(*found, strict=True))
    cases = [
        f"4 bits: {recursion} {np.median(loop):.2g}, direct {np.median(same):.2g}",
        f"direct at {direct_bits} bits {np.median(direct):.2g}, {recursion} at 4 {np.median(loop):.2g}",
        f"bit operations of {direct_bops:.3g} and {loop_bops:.3g}",
    ]
    return Evidence(
        claimed=1.0,
        measured=ratio,
        low=low,
        high=high,
        cases=cases,
        seed=0,
        params=dict(zip(("images", "steps"), SIZES[effort], strict=True)),
        note="; ".join(cases),
    )
