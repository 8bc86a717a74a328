"""What one scale for all steps costs against a dynamic one."""

from modiff_sim import Claim, Evidence, Verdict

from .._digits import STAND_IN

ORDER = 4
CLAIM = Claim(
    id="static_scale_costs_a_bit",
    statement=f"{STAND_IN}: one static scale per layer for all steps, chosen by least squares on the running loop, "
    "costs at most one bit at 8, 6 and 4 bits (relative l2 of the image, ratio static at b / dynamic at b-1 bits at "
    "most 1).",
    source="this project, on static scales",
    relation="upper",
    topic="practice",
    expected=Verdict.VIOLATED,
)


def check(effort: str = "quick", *, bits=(8, 6, 4), fewer: int = 1) -> Evidence:
    """Compare a static scale with a dynamic one of fewer bits.

    Differences change by an order of magnitude during sampling, which one scale cannot follow.
    """
    from ._static import ratios

    pairs = {f"{b} bits": (("mse", b, "closed_loop"), ("dynamic", b - fewer)) for b in bits}
    return ratios(pairs, effort, claimed=1.0)
