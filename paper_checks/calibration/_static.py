"""What the claims on static calibration share: calibrated scales, the closed loop's errors with them, paired ratios."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from modiff_sim import Evidence

from .._caching import ratio

#: effort -> (steps, images of the calibration set, images that are judged, from other noise)
SIZES = {"quick": (20, 32, 64), "full": (50, 64, 256)}
ROUNDS = 3  # rounds of the static loop after the dynamic one
CALIBRATION_SEED, SEED = 1, 0

#: ("dynamic" or "split", bits), with a recursion if not the closed loop; or (calibration method, bits, target)
Plan = tuple[Any, ...]


def sampled(model: Any, effort: str, images: int, seed: int, **options: Any) -> np.ndarray:
    """Sample images at the steps of this effort."""
    from modiff_sim.nn import sample

    return sample(model, images=images, steps=SIZES[effort][0], batch=images, seed=seed, **options)


@cache
def errors(plan: Plan, sizes: tuple[int, int, int], effort: str) -> np.ndarray:
    """Return the relative l2 distance of every image of the plan's run to that of full precision, from one noise."""
    import torch

    import modiff_sim as ms
    from modiff_sim.nn import calibrate, modulated, with_splits, zoo

    torch.set_num_threads(1)  # since the number of threads decides the bytes
    _, calibration, judged = sizes
    model = zoo.load("digits")
    recursion = "closed_loop"
    if plan[0] in ("dynamic", "split"):
        activations: Any = ms.AbsMax(plan[1])
        activations = with_splits(activations, model) if plan[0] == "split" else activations
        recursion = plan[2] if len(plan) > 2 else recursion
    else:
        method, bits, target = plan
        activations = calibrate(
            model,
            lambda resets: sampled(model, effort, calibration, CALIBRATION_SEED, on_batch=resets),
            bits=bits,
            quantizer=method,
            target=target,
            rounds=ROUNDS,
        )
    with modulated(model, activations=activations, recursion=recursion):
        images = sampled(model, effort, judged, SEED)
    exact = _exact(sizes, effort)
    return np.linalg.norm((images - exact).reshape(judged, -1), axis=1) / np.linalg.norm(
        exact.reshape(judged, -1), axis=1
    )


@cache
def _exact(sizes: tuple[int, int, int], effort: str) -> np.ndarray:
    from modiff_sim.nn import zoo

    return sampled(zoo.load("digits"), effort, sizes[2], SEED)


def ratios(
    pairs: Mapping[str, tuple[Plan, Plan]], effort: str, *, claimed: float, aside: Mapping[str, tuple[Plan, Plan]] = {}
) -> Evidence:
    """Compare the error of each pair of plans, first over second: geometric mean over images, paired 95 % interval.

    ``aside`` are pairs that the note reports and that do not decide.
    """
    sizes = SIZES[effort]
    found = {
        label: ratio(errors(a, sizes, effort), errors(b, sizes, effort)) for label, (a, b) in {**pairs, **aside}.items()
    }
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
