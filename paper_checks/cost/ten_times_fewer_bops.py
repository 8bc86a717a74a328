"""The paper's factor of ten in bit operations, W8A32 against W8A3, over a run."""

from modiff_sim import Claim, Evidence, Verdict

from ._cost import CALLS, SHAPES, speed_ups

ORDER = 5
LIVE = True  # it only counts
CLAIM = Claim(
    id="ten_times_fewer_bops",
    statement=f"{SHAPES}: a run of {CALLS} calls with 3-bit residuals takes over 10 times fewer bit operations than "
    "with activations in full precision, its first call counted as what it is.",
    source="Table 1 and abstract",
    relation="lower",
    topic="practice",
    printed=True,
    expected=Verdict.VIOLATED,
)


def check(effort: str = "quick", *, bits: int = 3, account: int = 1) -> Evidence:
    """Compare the savings with a factor of ten.

    ``account`` is 0 for one step, as in the table, 1 for a run, and 2 for a run with attention in full precision.
    """
    ratios, cases = speed_ups((32, CALLS), bits)
    return Evidence(
        claimed=10.0,
        measured=ratios[account],
        cases=cases[account],
        params={"calls": CALLS, "bits": bits},
        note=", ".join(f"{case}: {ratio:.2f}" for case, ratio in zip(cases, ratios, strict=True)),
    )
