"""Appendix D.4 and Table 16: MoDiff with few generation steps."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from .._rows import cells, excess, judged, over

ORDER = 17
LIVE = True  # of committed rows
CLAIM = Claim(
    id="few_steps_remain_effective",
    statement=f"{STAND_IN}: with 20 steps MoDiff has a smaller Fréchet distance than ordinary quantization at W8A4, "
    "with DDIM and with DPM-Solver-2 (excess of direct over the closed loop; one scale per sample).",
    source="appendix D.4, Tables 15 and 16",
    relation="lower",
    topic="practice",
    printed=True,
    quote="remains effective with fewer generation steps; 297.21 → 22.12 and 299.72 → 26.54",
    reading="better than ordinary quantization at 20 steps, the number that is measured there",
    instead=("few_steps_break_it", "six_bits_at_twenty_steps"),
    elsewhere=("in_colour_few_steps_remain_effective",),
)


def check(effort: str = "quick", *, tables=("16", "15"), row="W8A4", better="closed", than="direct") -> Evidence:
    """Compare both arms at 20 steps."""
    pairs = [tuple(cells(name, (row, than), (row, better))) for name in tables]
    found = [excess(name, *pair) for name, pair in zip(tables, pairs, strict=True)]
    return judged(tables[0], found, [f"{over(a, b)}, {a.sampler}" for a, b in pairs], 0.0, pairs=pairs)
