"""Abstract and Table 1 at 32×32: activations down to 3 bits without performance loss."""

from modiff_sim.evidence import Claim, Evidence

from ._tables import AT_32

ORDER = 90
CLAIM = Claim(
    id="at_32_three_bits",
    statement=f"{AT_32}: with compensation W8A3 has no loss, at most 10 % in Fréchet distance (features of a "
    "classifier trained here, same noise, DDIM, 50 steps).",
    source="abstract, Table 1; the 10 % are ours",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, row="W8A3 closed loop") -> Evidence:
    from analysis.tables.layouts import AT_32 as CELLS

    from ._tables import ratios

    cell = CELLS[row, "DDIM 50"]
    return ratios("fashion32", [(cell, cell.full)], claimed=1.10)
