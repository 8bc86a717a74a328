"""What the claims on static calibration share: how large they are, and paired ratios of the errors of two plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modiff_sim import Evidence

from .._caching import ratio

#: effort -> (steps, images of the calibration set, images that are judged, from other noise)
SIZES = {"quick": (20, 32, 64), "full": (50, 64, 64)}  # intervals of 64 images are a tenth of a ratio wide

#: ("dynamic" or "split", bits), with a recursion if not the closed loop; or (calibration method, bits, target)
Plan = tuple[Any, ...]


def ratios(
    pairs: Mapping[str, tuple[Plan, Plan]], effort: str, *, claimed: float, aside: Mapping[str, tuple[Plan, Plan]] = {}
) -> Evidence:
    """Compare the error of each pair's plans, first over second: geometric mean over images, paired 95 % interval.

    ``aside`` are pairs that the note reports and that do not decide.
    """
    from analysis.experiments.scale_plans import ROUNDS, SEED, ScalePlan, ScaleSizes, errors

    def named(plan: Plan) -> ScalePlan:
        if plan[0] in ("dynamic", "split"):
            return ScalePlan(*plan[:2], "", *plan[2:])
        return ScalePlan(*plan)

    sizes = SIZES[effort]
    together = {**pairs, **aside}
    plans = list(dict.fromkeys(named(plan) for pair in together.values() for plan in pair))
    error = dict(zip(plans, errors(plans, ScaleSizes(*sizes)), strict=True))
    found = {label: ratio(error[named(a)], error[named(b)]) for label, (a, b) in together.items()}
    told = {label: f"{label} {value:.2f} [{low:.2f}, {high:.2f}]" for label, (value, low, high) in found.items()}
    measured, low, high = (list(column) for column in zip(*(found[label] for label in pairs), strict=True))
    return Evidence(
        claimed,
        measured,
        low=low,
        high=high,
        cases=[told[label] for label in pairs],
        seed=SEED,
        note="; ".join(told.values()),
        params={"steps": sizes[0], "calibration images": sizes[1], "images": sizes[2], "rounds": ROUNDS},
    )
