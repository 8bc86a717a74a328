"""The paper's numbers as printed (PMLR 267:18337-18362). They are shown beside ours and never computed with.

They are FID, where nothing else is said, of other models on other data: only orders, cliffs and ratios can be compared.
Keys are (row, column) of ``layouts``.
"""

from __future__ import annotations

from collections.abc import Mapping

Printed = Mapping[tuple[str, str], str]


def _table(columns: tuple[str, ...], rows: Mapping[str, tuple[str, ...]]) -> Printed:
    return {
        (row, column): value
        for row, values in rows.items()
        for column, value in zip(columns, values, strict=True)
        if value
    }


#: Table 1, CIFAR-10, DDIM 100 steps: FID of Q-Diff, + MoDiff, LCQ, + MoDiff
TABLE_1 = _table(
    ("static direct", "static closed", "channel direct", "channel closed"),
    {
        "W8A8": ("3.75", "4.10", "4.21", "4.10"),
        "W8A6": ("29.16", "4.19", "4.15", "4.21"),
        "W8A4": ("332.75", "13.41", "24.09", "4.31"),
        "W8A3": ("457.35", "90.34", "143.39", "4.14"),
        "W4A8": ("4.93", "5.13", "4.96", "4.95"),
        "W4A6": ("28.60", "5.62", "4.49", "5.01"),
        "W4A4": ("325.76", "13.62", "22.50", "5.10"),
        "W4A3": ("457.35", "47.35", "146.29", "4.98"),
    },
)
#: Table 4 prints these as "FID, W8A8/W8A6/W8A4"; they are Table 1's sFID at W8A6, W8A4 and W8A3
TABLE_4 = _table(
    ("all layers: direct", "all layers: open loop", "all layers: closed loop"),
    {
        "W8A6": ("sFID 4.61", "sFID 4.41", "sFID 4.40"),
        "W8A4": ("sFID 13.07", "sFID 10.21", "sFID 4.38"),
        "W8A3": ("sFID 33.97", "sFID 25.42", "sFID 4.38"),
    },
)
#: Table 5, LSUN-Bedrooms, DDPM sampler; the DDIM columns are Table 3's (dynamic, Bedrooms)
TABLE_5 = _table(
    ("DDPM direct", "DDPM closed", "DDIM direct", "DDIM closed"),
    {
        "W8A8": ("3.61", "3.39", "", ""),
        "W8A6": ("50.17", "12.60", "64.17", "3.57"),
        "W8A4": ("102.16", "34.25", "372.30", "27.88"),
    },
)
#: Table 14, CIFAR-10, tensor-wise dynamic quantization (LTQ)
TABLE_14 = _table(
    ("direct", "closed"),
    {"W8A8": ("4.19", "4.21"), "W8A6": ("9.93", "4.00"), "W8A4": ("306.06", "28.19")},
)
#: Table 15, CIFAR-10, DPM-Solver-2, 20 steps, LTQ
TABLE_15 = _table(
    ("direct", "closed"), {"W8A8": ("3.92", "3.91"), "W8A6": ("10.82", "3.91"), "W8A4": ("299.72", "26.54")}
)
#: Table 16, CIFAR-10, DDIM, 20 steps, LTQ
TABLE_16 = _table(
    ("direct", "closed"), {"W8A8": ("6.93", "6.90"), "W8A6": ("20.28", "6.75"), "W8A4": ("297.21", "22.12")}
)
#: Table 18, CIFAR-10, LTQ + MoDiff without and with warm-up, and LTQ alone without and with it
TABLE_18 = _table(
    ("closed, first call quantized", "closed, first call exact", "direct", "direct, first call exact"),
    {
        "W8A8": ("4.22", "4.21", "4.19", "4.19"),
        "W8A6": ("4.25", "4.00", "9.93", "9.53"),
        "W8A4": ("31.22", "28.19", "306.06", "299.96"),
    },
)
