"""Table 4's order of open loop and direct, at 32×32."""

from modiff_sim.evidence import Claim, Evidence

from ._tables import AT_32

ORDER = 91
CLAIM = Claim(
    id="at_32_open_loop",
    statement=f"{AT_32}: at W8A4 modulation without compensation is worse than ordinary quantization (Fréchet distance "
    "of the open loop over direct's; Table 4 prints 10.21/13.07, better).",
    source="this project, against Table 4",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, judged="W8A4 open loop", by="W8A4 direct") -> Evidence:
    from analysis.tables.layouts import AT_32 as CELLS

    from ._tables import ratios

    return ratios("fashion32", [(CELLS[judged, "DDIM 50"], CELLS[by, "DDIM 50"])], claimed=1.0)
