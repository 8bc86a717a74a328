"""What an atlas has no rows of though it was asked for, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..quantizers import QUANTIZERS, granularity
from ..quantizers.granularity import Granularity, PerGroup
from .samples import BATCH, shared_by_samples, trials_for
from .which import text

#: the columns of what is left out
COLUMNS = ("quantizer", "bits", "granularity", "d", "distribution", "reason")
LEAST = 2  # samples, or batches of them, that a mean needs


def why_not(shared: Granularity, d: int, trials: int) -> str:
    """Why samples of d entries cannot be measured with a granularity; "" where they can.

    Parameters
    ----------
    shared : Granularity
        Which entries share a scale.
    d, trials : int
        Entries of a sample, and how many samples are drawn.

    Returns
    -------
    str
        The reason, with what to do about it.

    Examples
    --------
    >>> import modiff_sim as ms
    >>> why_not(ms.PerGroup(32), 64, 8)
    ''
    >>> why_not(ms.PerGroup(32), 48, 8)
    'the runs of 32 entries that share a scale do not divide d: take another d, or one scale per sample'
    """
    try:
        shared.blocked((BATCH, d))
    except ValueError as error:
        if not isinstance(shared, PerGroup) or shared_by_samples(shared, d):
            return str(error)
        runs = f"the runs of {shared.size} entries that share a scale"
        return f"{runs} do not divide d: take another d, or one scale per sample"
    drawn = trials_for(d, trials)
    if not shared_by_samples(shared, d) or drawn >= LEAST * BATCH:
        return ""
    few = f"samples that share scales are measured in batches of {BATCH}, a mean needs {LEAST} of them, and"
    if trials < LEAST * BATCH:
        return f"{few} {trials} trials are too few: take {LEAST * BATCH}"
    return f"{few} only {drawn} samples are drawn of so many entries: take a smaller d"


def short(shared: Granularity, d: int) -> str:
    """Why there are no rows of a recording: it has too few samples of d entries."""
    least = LEAST * (BATCH if shared_by_samples(shared, d) else 1)
    return f"the recording has fewer than {least} runs of so many entries that are not all 0"


def said(left_out: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is left out in words, one text per quantizer and reason.

    Parameters
    ----------
    left_out : sequence of mappings
        Rows with quantizer, bits, granularity, d, distribution (None: all of them) and reason.

    Returns
    -------
    list of str
        Such as "mxint8 at d = 33, 48: ...".

    Examples
    --------
    >>> row = {"quantizer": "absmax", "bits": 4, "granularity": "group:32", "distribution": None, "reason": "too short"}
    >>> said([row | {"d": 33}, row | {"d": 48}])
    ['absmax:4@group:32 at d = 33, 48: too short']
    """
    dims: dict[tuple[str, str, str], list[int]] = {}
    for row in left_out:
        who = row["quantizer"]
        if who in QUANTIZERS:
            who = text(who, row["bits"], granularity.parse(row["granularity"]))
        dims.setdefault((who, row["distribution"] or "", row["reason"]), []).append(row["d"])
    return [
        f"{who} at d = {', '.join(map(str, several))}{on and f' ({on})'}: {why}"
        for (who, on, why), several in dims.items()
    ]
