"""Table 1: how many bits lower the cliff lies with MoDiff than without."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN

ORDER = 13
LIVE = True  # of committed rows
FAR = 1.5  # beyond this many times the distance at 8 bits, with the same weights, an arm is past the cliff
CLAIM = Claim(
    id="table_1_cliff",
    statement=f"{STAND_IN}: the fewest activation bits whose Fréchet distance stays within {FAR} times that of "
    "ordinary 8-bit activations (same weights) are fewer with MoDiff than without, for static (Q-Diff) and "
    "channel-wise dynamic (LCQ) scales, at 8 and at 4 weight bits (bits saved).",
    source="Table 1; the factor is ours",
    relation="lower",
    topic="practice",
)
PAIRS = (("static direct", "static closed"), ("channel direct", "channel closed"))


def check(effort: str = "quick", *, pairs=PAIRS, claimed=(1, 1)) -> Evidence:
    """Compare the cliffs of each pair of columns. ``claimed`` are the bits that each saves."""
    import numpy as np

    from analysis.tables.layouts import TABLES

    from ._tables import log_ratios

    table = TABLES["1"]

    def fewest(column: str, without: str, weights: str) -> int:
        """Return the fewest bits before the cliff, and 9 where not even 8 bits suffice."""
        base = table.cells[f"{weights}A8", without]
        cells = [table.cells[row, column] for row in table.rows if row.startswith(weights)]
        kept = np.exp(log_ratios("1", [(cell, base) for cell in cells]).mean(axis=1)) <= FAR
        fit = [cell.arm.bits for cell, ok in zip(cells, kept, strict=True) if ok]
        return min(fit, default=9)

    stated, measured, cases = [], [], []
    for (without, with_modiff), bits in zip(pairs, claimed, strict=True):
        for weights in ("W8", "W4"):
            before, after = fewest(without, without, weights), fewest(with_modiff, without, weights)
            stated.append(bits)
            measured.append(before - after)
            cases.append(f"{weights}, {without} {before} bits, {with_modiff} {after}")
    return Evidence(
        stated,
        measured,
        cases=cases,
        seed=table.seeds[0],
        note="; ".join(cases),
        params={"table": "1", "images": table.images, "seeds": list(table.seeds)},
    )
