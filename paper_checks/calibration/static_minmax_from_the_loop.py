"""Static min-max scales do not gain from the running loop, because its errors widen them."""

from modiff_sim import Claim, Evidence, Verdict

from .._digits import STAND_IN

ORDER = 3
CLAIM = Claim(
    id="static_minmax_from_the_loop",
    statement=f"{STAND_IN}: one static scale per layer, chosen as min-max, gives the closed loop no larger an error at "
    "4 bits if calibrated on the running loop's own residuals instead of full-precision differences (relative l2 of "
    "the image, ratio differences / loop at least 1).",
    source="this project, on static scales",
    relation="lower",
    topic="practice",
    expected=Verdict.VIOLATED,
)


def check(effort: str = "quick", *, bits=(4,), aside=(6,), method="minmax") -> Evidence:
    """Compare both calibrations. The largest residual grows with the range, and makes the next range wider still."""
    from .static_scales_from_the_loop import check as ratio_of

    return ratio_of(effort, bits=bits, aside=aside, method=method)
