"""The paper's factor of ten in bit operations, W8A32 against W8A3, per step."""

from modiff_sim import Claim, Evidence, Verdict

from ._cost import CALLS, SHAPES, speed_ups

ORDER = 5
LIVE = True  # it only counts
CLAIM = Claim(
    id="ten_times_fewer_bops",
    statement=f"{SHAPES}: a step with 3-bit residuals takes over 10 times fewer bit operations than one with "
    "activations in full precision.",
    source="Table 1, Remark 5.1 and abstract",
    relation="lower",
    topic="practice",
    printed=True,
    quote="over 10×",
    reading="per step, as Remark 5.1 counts; W8A3 against W8A32",
    instead=("ten_times_over_a_run", "bops_against_eight_bits"),
)


def check(effort: str = "quick", *, bits: int = 3, account: int = 0) -> Evidence:
    """Compare the saving with a factor of ten. ``account`` 0 is a step, 1 and 2 are runs (``_cost.speed_ups``)."""
    ratios, cases = speed_ups((32, CALLS), bits)
    return Evidence(
        claimed=10.0,
        measured=ratios[account],
        cases=cases[account],
        params={"calls": CALLS, "bits": bits},
        note=", ".join(f"{case}: {ratio:.2f}" for case, ratio in zip(cases, ratios, strict=True)),
    )


CONTROLS = [
    ({"bits": 4}, Verdict.VIOLATED),
    ({"account": 1}, Verdict.VIOLATED),
]
