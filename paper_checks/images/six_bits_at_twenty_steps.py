"""Tables 15 and 16: 6 bits without loss at 20 steps, with DPM-Solver-2 and with DDIM."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN

ORDER = 20
LIVE = True  # of committed rows
CLAIM = Claim(
    id="six_bits_at_twenty_steps",
    statement=f"{STAND_IN}: at 20 steps the W8A6 closed loop is within 10 % of full precision's Fréchet distance, with "
    "DPM-Solver-2 and with DDIM (the paper: 3.91 against 3.92 at 8 bits, 6.75 against 6.90).",
    source="Tables 15 and 16; the 10 % are ours",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, column="closed loop", row="W8A6") -> Evidence:
    """Compare the Fréchet distance of the cells with that of full precision."""
    import numpy as np

    from analysis.tables.layouts import TABLES

    from ._tables import judged, log_ratios

    cells = [TABLES[name].cells[row, column] for name in ("15", "16")]
    logs = [log_ratios(name, [(cell, cell.full)]) for name, cell in zip(("15", "16"), cells, strict=True)]
    return judged(np.concatenate(logs), [f"{cell.label} / full precision" for cell in cells], "15", 1.10)
