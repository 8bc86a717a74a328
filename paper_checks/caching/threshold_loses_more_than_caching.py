"""Remark 4.1's tolerance, tried out: skipping where the difference is small against skipping by the clock."""

from modiff_sim import Claim, Evidence
from modiff_sim.evidence import Premise

from .. import _caching
from .._digits import STAND_IN

ORDER = 7
CLAIM = Claim(
    id="threshold_loses_more_than_caching",
    statement=f"{STAND_IN}: skipping residuals below τ||â|| (2-norm, τ = 0.1, 0.2, full precision otherwise) is "
    "further from full precision than caching all layers by the clock, which skips more MACs: ratio of the images' "
    "relative l2 above 1. A threshold holds every layer at its tolerance; a refresh takes all errors back at once.",
    source="this project, on Remark 4.1, for which the paper has no experiment",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, thresholds: tuple[float, ...] = (0.1, 0.2)) -> Evidence:
    """Compare every threshold with the cache that skips the fewest MACs of those that skip at least as many."""
    from analysis.experiments.schemes import EVERY, CachingScheme

    caches, skips = [CachingScheme("cached", n) for n in EVERY], [CachingScheme("threshold", tau) for tau in thresholds]
    rows = _caching.measured(effort, [*caches, *skips])
    # the cache that skips least of those that skip at least as much
    pairs = [(s, next((c for c in caches if rows[c]["skipped"] >= rows[s]["skipped"]), caches[-1])) for s in skips]
    fewer = [s.label for s, c in pairs if rows[c]["skipped"] < rows[s]["skipped"]]
    return Evidence(
        claimed=1.0,
        premises=[Premise("the cache skips at least as many MACs", not fewer, ", ".join(fewer))],
        seed=0,
        params={"skipped": {r["label"]: round(r["skipped"], 3) for r in rows.values()}},
        **_caching.ratios(rows, pairs),
    )
