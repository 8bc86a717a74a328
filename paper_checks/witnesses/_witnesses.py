"""What the claims on witnesses share: differences of two arms in dB, sample by sample, with a t-interval per case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from modiff_sim import Evidence

WITNESSES = (
    "On two trained models of other people (no stand-in of ours: a U-Net that draws clothes, and CSDI, a transformer "
    "that imputes clinical series)"
)
QUANTIZED = f"{WITNESSES}, 8-bit weights, one scale per sample"


def chosen(**wanted: Any) -> list[tuple[str, Any]]:
    """Return (witness, arm) of all quantized arms with these fields, such as recursion and bits."""
    from analysis.witness.plan import PLANS

    return [
        (name, arm)
        for name, plan in PLANS.items()
        for arm in plan.arms
        if arm.bits < 32 and all(getattr(arm, field) in _some(value) for field, value in wanted.items())
    ]


def _some(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def above_direct(cases: Sequence[tuple[str, Any]], *, by: str = "direct") -> list[tuple[str, np.ndarray]]:
    """Return of each case its label, and by how many dB each sample of the arm is nearer to W8A32 than direct's.

    ``by`` is the recursion that is compared with. Raises StoreError where an arm was not measured.
    """
    from analysis.witness.rows import committed, difference

    return [
        (f"{name}, {arm.label}", difference(committed(name), arm, replace(arm, recursion=by)))
        for name, arm in cases
    ]  # fmt: skip


def signed_by_sampler(better: str, **wanted: Any) -> list[tuple[str, np.ndarray]]:
    """Return by how many dB the open loop is nearer than direct, and under other samplers than ``better`` farther."""
    cases = chosen(recursion="open_loop", **wanted)
    signs = [1.0 if arm.sampler == better else -1.0 for _, arm in cases]
    return [
        (label if sign > 0 else f"{label} (sign changed)", sign * each)
        for (label, each), sign in zip(above_direct(cases), signs, strict=True)
    ]


def ratios(sampler: str) -> list[tuple[str, np.ndarray]]:
    """Return of each witness how much larger the input of a layer is than its change, a number of each sample."""
    from analysis.witness.arms import full
    from analysis.witness.plan import PLANS
    from analysis.witness.rows import committed

    return [(f"{name}, {sampler}", committed(name).of(full(sampler), "ratio")) for name in PLANS]


def judged(values: Sequence[tuple[str, np.ndarray]], *, claimed: float, unit: str = "dB") -> Evidence:
    """Return evidence from a number of each sample in every case: their mean, with its 95 % t-interval."""
    from modiff_sim.metrics import mean_interval

    labels = [label for label, _ in values]
    found = np.array([mean_interval(each) for _, each in values])
    sign = "+" if unit == "dB" else ""
    cases = [
        f"{label}: {mean:{sign}.1f} {unit} [{low:{sign}.1f}, {high:{sign}.1f}]"
        for label, (mean, low, high) in zip(labels, found, strict=True)
    ]
    counts = {f"samples of {label.partition(',')[0]}": len(each) for label, each in values}
    return Evidence(
        claimed,
        found[:, 0],
        low=found[:, 1],
        high=found[:, 2],
        cases=cases,
        seed=0,
        note="; ".join(cases),
        params={**counts, "interval": "Student's t over samples, which are paired by their noise"},
    )
