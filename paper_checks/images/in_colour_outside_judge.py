"""Do the verdicts in colour depend on the classifier that was trained here?"""

from modiff_sim import Claim, Evidence, Verdict
from modiff_sim.evidence import judge

from .. import _rows
from . import (
    in_colour_direct_four_bits,
    in_colour_four_bits_all_layers,
    in_colour_open_loop,
    in_colour_open_loop_convolutions,
    in_colour_three_bits,
)
from ._at_32 import COLOUR_TABLE, IN_COLOUR

ORDER = 29
LIVE = True  # of committed rows
JUDGED = (
    in_colour_three_bits, in_colour_four_bits_all_layers, in_colour_direct_four_bits, in_colour_open_loop,
    in_colour_open_loop_convolutions,
)  # fmt: skip
CLAIM = Claim(
    id="in_colour_outside_judge",
    statement=f"{IN_COLOUR}: a classifier that other people trained gives the same verdicts on the same images as the "
    f"one trained here (1 for each of the {len(JUDGED)} claims in colour where its verdict is another). It does not "
    "for one: W8A4 with all layers has a loss there. The one trained here has learnt to ignore noise (rms 0.1) "
    "twice as large as what that arm adds.",
    source="this project, on its own metric",
    relation="upper",
    topic="practice",
    expected=Verdict.VIOLATED,
)


def check(effort: str = "quick", *, swapped: bool = False) -> Evidence:
    """Judge the claims from both sets of rows; ``swapped`` exchanges the arms of the orders for the outside judge."""
    from analysis.tables import rows
    from analysis.tables.layouts import TABLES

    apart, cases = [], []
    for module in JUDGED:
        ours = judge(module.CLAIM, module.check(effort)).verdict
        names = module.check.__kwdefaults__
        swap = {"judged": names["by"], "by": names["judged"]} if swapped and "by" in names else {}
        with _rows.judged_outside():
            evidence = module.check(effort, **swap)
        theirs = judge(module.CLAIM, evidence).verdict
        apart.append(float(theirs != ours))
        cases.append(f"{module.CLAIM.id}: {ours} here, {theirs} there ({evidence.note})")
    about = rows.committed(TABLES[COLOUR_TABLE].model, rows.OUTSIDE).manifest
    return Evidence(0.0, apart, cases=cases, seed=0, params={"features": about["features"]}, note="; ".join(cases))
