"""The layers of the time path are the open loop's worst, as on the digits model."""

from dataclasses import replace

from modiff_sim import Claim, Evidence

from ._witnesses import QUANTIZED, chosen, judged

ORDER = 5
LIVE = True  # of committed rows
CLAIM = Claim(
    id="witnesses_open_loop_time_path",
    statement=f"{QUANTIZED}, at 6 bits: without compensation, leaving the layers of the time path in full precision "
    "brings samples nearer to those of full-precision activations, under a deterministic sampler (difference in dB, "
    "above 0).",
    source="this project, on section 4.4",
    relation="lower",
    topic="practice",
)


def check(
    effort: str = "quick", *, recursion: str = "open_loop", sampler: str = "deterministic", swapped: bool = False
) -> Evidence:
    """Measure what is gained without the time path. ``swapped`` compares the other way round."""
    from analysis.witness.rows import committed, difference

    values = []
    for name, arm in chosen(recursion=recursion, bits=6, layers="no time path", sampler=sampler):
        gained = difference(committed(name), arm, replace(arm, layers="all"))
        values.append((f"{name}, {arm.label}", -gained if swapped else gained))
    return judged(values, claimed=0.0)
