"""Abstract and Table 1 at 32×32: activations down to 3 bits without performance loss."""

from modiff_sim import Claim, Evidence, Verdict

from .._rows import NO_LOSS, excesses
from ._at_32 import AT_32, TABLE, cell

ORDER = 24
LIVE = True  # of committed rows
CLAIM = Claim(
    id="at_32_three_bits",
    statement=f"{AT_32}: with compensation W8A3 has no loss, at most 10 % in Fréchet distance over full precision "
    "(one scale per sample, features of a classifier trained here, same noise, DDIM, 50 steps).",
    source="this project, on the abstract",
    relation="upper",
    topic="practice",
    expected=Verdict.NOT_RUN,  # 384 images leave the interval on both sides
)


def check(effort: str = "quick", *, row: str = "W8A3 closed loop") -> Evidence:
    """Compare the Fréchet distance of the arm with that of full precision."""
    judged = cell(row, "DDIM 50")
    return excesses(TABLE, [(judged, judged.full)], claimed=NO_LOSS)
