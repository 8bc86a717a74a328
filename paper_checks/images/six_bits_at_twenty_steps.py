"""Tables 15 and 16: 6 bits without loss at 20 steps, with DPM-Solver-2 and with DDIM."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from .._rows import NO_LOSS, cells, judged, loss, over

ORDER = 20
LIVE = True  # of committed rows
CLAIM = Claim(
    id="six_bits_at_twenty_steps",
    statement=f"{STAND_IN}: at 20 steps the W8A6 closed loop has no loss against W8A32, at most 10 % in "
    "Fréchet distance, with DPM-Solver-2 and with DDIM (one scale per sample).",
    source="Tables 15 and 16",
    relation="upper",
    topic="practice",
    printed=True,
    quote="W8A6 3.91, where W8A8 has 3.91 (DPM-Solver-2); 6.75 and 6.90 (DDIM)",
    reading="no loss is at most 10 % of full precision's distance; the 10 % are ours",
    elsewhere=("in_colour_six_bits_at_twenty_steps",),
)


def check(effort: str = "quick", *, column="closed", row="W8A6") -> Evidence:
    """Compare the Fréchet distances with those of full-precision activations."""
    tables = ("15", "16")
    found = [cells(name, (row, column))[0] for name in tables]
    pairs = [(cell, cell.weights_only) for cell in found]
    each = [loss(name, *pair) for name, pair in zip(tables, pairs, strict=True)]
    labels = [f"{over(*pair)}, {pair[0].sampler}" for pair in pairs]
    return judged("15", each, labels, NO_LOSS, pairs=pairs, unit=True)
