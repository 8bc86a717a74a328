"""What is claimed, in a few words. This file is a template of a claim: copy it into a room, as <id of the claim>.py.

Nothing else has to be changed: the table of verdicts, docs/claims.md (``python -m paper_checks --markdown``) and the
tests iterate over what is found. Code that claims of one room share lies in the room, in a file with an underscore.
"""

from modiff_sim import Claim, Evidence, Verdict

# ORDER = 3  # its place in the room; without it the claim follows those that have one, by name
CLAIM = Claim(
    id="_template",  # the file's name without .py, unique over all rooms
    statement="The sentence that is checked, with its conditions and quantifiers, and what is compared (in brackets).",
    source="this project",  # who states it: theorem, equation or section of the paper, or this project
    relation="upper",  # of measured to claimed: one of modiff_sim.evidence.RELATIONS
    topic="theory",  # "practice" for what samples a model; import torch and analysis inside check then
    # printed=True,  # a statement of the paper as it is printed
    # expected=Verdict.VIOLATED,  # the verdict found so far, where it is not HOLDS
)


def check(effort: str = "quick", *, bound: float = 1.0) -> Evidence:
    """Say how it is measured. Keywords are what CONTROLS break: formula, recursion, quantizer, sizes."""
    n = 10 if effort == "quick" else 1000
    measured: list[float] = []  # one number per case, from a seeded generator
    return Evidence(
        claimed=bound,
        measured=measured,
        atol=0.0,  # slack of the comparison: k·eps, with its reason
        # premises=(Premise("a condition of the statement", True, "as measured"),),
        # everywhere=True,  # of a "tight" bound: every case must attain it, not only one
        cases=[f"case {i}" for i in range(len(measured))],  # names the counter-example
        params={"n": n},
        seed=0,
        note="what a reader of the table should know besides",
    )


# Broken variants: keywords of check, and the verdict that they must cause. A claim with topic "theory" needs at least
# one; where the check of a practice claim takes long, its variants are tested on made-up images in tests/ instead.
CONTROLS = [
    ({"bound": -1.0}, Verdict.VIOLATED),
]
