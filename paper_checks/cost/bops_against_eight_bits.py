"""What 3-bit residuals save against ordinary 8-bit activations."""

from modiff_sim import Claim, Evidence

from ._cost import CALLS, SHAPES, speed_ups

ORDER = 7
LIVE = True  # it only counts
CLAIM = Claim(
    id="bops_against_eight_bits",
    statement=f"{SHAPES}: against ordinary 8-bit activations, 3-bit residuals take at most 8/3 = 2.67 times fewer bit "
    f"operations, one step, a run of {CALLS} calls, or that run with attention as the released code has it.",
    source="this project, on Table 1",
    relation="tight",
    topic="practice",
)


def check(effort: str = "quick", *, bits: int = 3, limit: float = 8 / 3) -> Evidence:
    """Compare the savings of each account with the limit."""
    ratios, cases = speed_ups((8, 0), bits)  # ordinary quantization quantizes its first call, too
    return Evidence(
        claimed=limit,
        measured=ratios,
        cases=cases,
        params={"calls": CALLS, "bits": bits},
        atol=1e-12,  # a quotient of products of a few numbers below 2^53
        note=", ".join(f"{case}: {ratio:.2f}" for case, ratio in zip(cases, ratios, strict=True)),
    )
