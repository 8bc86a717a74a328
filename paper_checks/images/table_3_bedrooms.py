"""Table 3: LSUN-Bedrooms, whose model and images are not here."""

from modiff_sim import Claim, Evidence, Verdict

ORDER = 31
LIVE = True  # there is nothing to measure
CLAIM = Claim(
    id="table_3_bedrooms",
    statement="Table 3 (LSUN-Bedrooms, LDM-4; no stand-in): with MoDiff 6 bits keep an FID of 3.57, where 64.17 is "
    "printed without it, at 8-bit weights.",
    source="Table 3",
    relation="upper",
    topic="practice",
    printed=True,
    expected=Verdict.NOT_RUN,
    quote="A6 64.17 → 3.57",
    reading="FID with MoDiff over that without it, at 6 bits",
)
NEEDED = (
    "the weights of LDM-4 on LSUN-Bedrooms as a diffusers folder, its training images, Inception's features, and a GPU "
    "for 50,000 images per cell: python -m analysis.sample --model FOLDER --images 50000 --recursion closed_loop "
    "--bits 6 --weight-bits 8 --scale channel --out DIR"
)


def check(effort: str = "quick") -> Evidence:
    """Say what is missing."""
    return Evidence(not_run=NEEDED)
