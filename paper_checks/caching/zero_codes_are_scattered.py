"""Sparsity of residual codes: how many are zero, and whether a kernel could use it."""

from modiff_sim import Claim, Evidence
from modiff_sim.evidence import Premise

from .. import _caching
from .._digits import STAND_IN

ORDER = 5
CLAIM = Claim(
    id="zero_codes_are_scattered",
    statement=f"{STAND_IN}: in the closed loop about half of the MACs at 4 bits and two thirds at 3 bits meet a zero "
    "code (premises: 45 %, 60 %), about as many as with the activations' own codes; but blocks of 1×16 zeros, which a "
    "kernel could leave out, hold at most a tenth.",
    source="this project, on Remark 4.2",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, block: str = "blocks16", least: tuple[float, float] = (0.45, 0.6)) -> Evidence:
    """Measure the share of MACs that blocks of zeros would save, with the share of zeros as the premise."""
    from analysis.experiments.schemes import CachingScheme

    loops, plain = ([CachingScheme(kind, b) for b in (4, 3)] for kind in ("closed_loop", "direct"))
    rows = _caching.measured(effort, [*loops, *plain])
    premises = [
        Premise(f"zeros, {s.label}", rows[s]["zeros"] >= share, f"{rows[s]['zeros']:.1%}")
        for s, share in zip(loops, least, strict=True)
    ]
    note = "; ".join(
        f"{s.label}: {rows[s]['zeros']:.0%} zero (direct {rows[p]['zeros']:.0%}), 1×16 {rows[s]['blocks16']:.1%}, "
        f"2:4 per run {rows[s]['pairs']:.0%}"
        for s, p in zip(loops, plain, strict=True)
    )
    return Evidence(
        claimed=0.1,
        measured=[rows[s][block] for s in loops],
        cases=[s.label for s in loops],
        premises=premises,
        seed=0,
        note=note,
    )
