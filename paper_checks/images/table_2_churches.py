"""Table 2: LSUN-Churches, whose model and images are not here."""

from modiff_sim import Claim, Evidence, Verdict

ORDER = 30
LIVE = True  # there is nothing to measure
CLAIM = Claim(
    id="table_2_churches",
    statement="Table 2 (LSUN-Churches, LDM-8; no stand-in): with MoDiff 6 bits have the FID of 8, 3.89 against 3.99, "
    "at 8-bit weights.",
    source="Table 2",
    relation="upper",
    topic="practice",
    printed=True,
    expected=Verdict.NOT_RUN,
    quote="A8 3.99, A6 3.89",
    reading="FID with MoDiff at 6 bits over that at 8 bits",
)
NEEDED = (
    "the weights of LDM-8 on LSUN-Churches as a diffusers folder, its training images, Inception's features, and a GPU "
    "for 50,000 images per cell: python -m analysis.sample --model FOLDER --images 50000 --recursion closed_loop "
    "--bits 6 --weight-bits 8 --scale channel --out DIR"
)


def check(effort: str = "quick") -> Evidence:
    """Say what is missing."""
    return Evidence(not_run=NEEDED)
