"""The table: of every area, how many mutants the tests noticed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

COLUMNS = ("area", "mutants", "killed", "of these by time", "survived", "equivalent", "score", "95 % interval")


def counted(rows: Iterable[Mapping[str, Any]]) -> dict[str, Counter[str]]:
    """Return area -> outcome -> how often, with all areas together as the last one."""
    found: dict[str, Counter[str]] = {}
    total: Counter[str] = Counter()
    for row in rows:
        found.setdefault(row["area"], Counter())[row["outcome"]] += 1
        total[row["outcome"]] += 1
    return {**found, "all": total}


def score(outcomes: Mapping[str, int]) -> tuple[float, float, float]:
    """Return the share of mutants that were killed, among those that can be, and Wilson's 95 % interval.

    Raises ValueError where no mutant can be killed.
    """
    from scipy.stats import binomtest  # slow to import

    killed = outcomes.get("killed", 0) + outcomes.get("timeout", 0)
    tried = killed + outcomes.get("survived", 0)
    if not tried:
        raise ValueError("there is no score: no mutant of this area can be killed")
    interval = binomtest(killed, tried).proportion_ci(method="wilson")
    return killed / tried, float(interval.low), float(interval.high)


def table(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return the counts of ``counted`` as a Markdown table."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for area, outcomes in counts.items():
        killed = outcomes.get("killed", 0) + outcomes.get("timeout", 0)
        cells: list[object] = [
            area, sum(outcomes.values()), killed, outcomes.get("timeout", 0), outcomes.get("survived", 0),
            outcomes.get("equivalent", 0),
        ]  # fmt: skip
        if killed + outcomes.get("survived", 0):
            share, low, high = score(outcomes)
            cells += [f"{100 * share:.1f} %", f"{100 * low:.1f} to {100 * high:.1f} %"]
        else:
            cells += ["-", "-"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)
