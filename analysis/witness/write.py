"""The rows as a table: every arm with its distance to the baseline, and differences of arms with their intervals."""

from __future__ import annotations

import numpy as np

from modiff_sim.metrics import mean_interval

from .arms import Arm, baseline, full
from .plan import PLANS
from .rows import Rows, difference

HEADER = ("arm", "MACs", "dB to W8A32", "dB above direct [95 %]")


def text(rows: Rows) -> str:
    """Return the table of one witness, as aligned text."""
    about, plan = rows.manifest, PLANS[rows.model]
    lines = [_line(rows, arm) for arm in plan.arms if arm.weight_bits < 32]
    widths = [max(len(line[i]) for line in (HEADER, *lines)) for i in range(len(HEADER))]
    padded = [[f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)] for line in (HEADER, *lines)]
    table = ["  ".join(cells).rstrip() for cells in padded]
    found = [_differences(rows, arm) for arm in plan.arms if arm.weight_bits == 32]
    return "\n".join([
        f"{rows.model}: {about['what']} ({about['from']}, {about['licence']}); {about['unit']}; "
        f"mean over {about['samples']} samples", "", table[0], "-" * len(table[0]), *table[1:], "", *found, "",
    ])  # fmt: skip


def _line(rows: Rows, arm: Arm) -> tuple[str, str, str, str]:
    """The cells of an arm; of the baseline its distance to full precision."""
    if arm == baseline(arm.sampler):
        to_full = rows.of(arm, "to_full")
        return arm.label, "", f"({np.mean(to_full):.1f} to full precision)", ""
    direct = Arm(arm.sampler, "direct", arm.bits, arm.layers)
    above = ""
    if arm != direct:
        mean, low, high = mean_interval(difference(rows, arm, direct))
        above = f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
    return arm.label, f"{rows.shares[arm]:.0%}", f"{np.mean(rows.of(arm, 'to_baseline')):.1f}", above


def _differences(rows: Rows, arm: Arm) -> str:
    mean, low, high = mean_interval(rows.of(full(arm.sampler), "ratio"))
    share = np.mean(rows.of(full(arm.sampler), "tenfold"))
    return (
        f"{arm.label}: a layer's input is {mean:.2f} [{low:.2f}, {high:.2f}] times as large as its change since the "
        f"last call, in the median over layers and calls; more than 10 times at {share:.0%} of them"
    )
