"""Errors of the digits model's images with static, dynamic and split scales, each plan measured once.

Claims compare plans in pairs, and many of them share a plan. A plan is a point of a sweep, so that what one process
measures no other measures again. All ranges that are chosen from full-precision values come from one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import modiff_sim as ms
from modiff_sim.metrics import relative_l2
from modiff_sim.nn import calibrate, modulated, sample, with_splits, zoo
from modiff_sim.nn.calibration.request import Request
from modiff_sim.nn.calibration.static_scales import chosen, observed
from modiff_sim.sweeps import Output, run

from ..running.code_key import source_of
from ..running.workspace import store
from .sizes import MODEL

if TYPE_CHECKING:
    from modiff_sim.nn.calibration.static_scales import Seen

NAME = "scale_plans"
ROUNDS = 3  # rounds of the static loop after the dynamic one
CALIBRATION_SEED, SEED = 1, 0


@dataclass(frozen=True)
class ScaleSizes:
    """Steps, images of the calibration set, and images that are judged, which start from other noise."""

    steps: int
    calibration: int
    judged: int


@dataclass(frozen=True)
class ScalePlan:
    """``scales`` is "dynamic", "split", or the method by which static ones are calibrated on ``target``."""

    scales: str
    bits: int
    target: str = ""
    recursion: str = "closed_loop"


def errors(plans: Sequence[ScalePlan], sizes: ScaleSizes) -> list[np.ndarray]:
    """Return per plan the relative l2 distance of every judged image to that of full precision, from one noise."""
    fixed = asdict(sizes) | {
        "model": zoo.card(MODEL)["sha256"], "source": source_of(__name__), "seeds": [CALIBRATION_SEED, SEED],
        "rounds": ROUNDS, "threads": 1, "dtype": "float32",
    }  # fmt: skip
    points = [asdict(plan) | fixed for plan in plans]
    run(points, measured, store(), name=NAME, workers=1)
    return [store().load(NAME, point).arrays["errors"] for point in points]


def measured(point: dict[str, Any]) -> Output:
    """Measure a plan: "errors", float64 (judged,), and their mean."""
    torch.set_num_threads(1)  # since the number of threads decides the bytes
    plan = ScalePlan(point["scales"], point["bits"], point["target"], point["recursion"])
    sizes = ScaleSizes(point["steps"], point["calibration"], point["judged"])
    model = zoo.load(MODEL)
    with modulated(model, activations=activations(plan, sizes), recursion=plan.recursion):
        images = sampled(model, sizes.steps, sizes.judged, SEED)
    found = relative_l2(images, exact(sizes.steps, sizes.judged))
    return Output({"relative_l2": float(found.mean())}, {"errors": found})


def activations(plan: ScalePlan, sizes: ScaleSizes) -> Any:
    """Return the quantizers of a plan's activations."""
    model = zoo.load(MODEL)
    if plan.scales in ("dynamic", "split"):
        dynamic = ms.AbsMax(plan.bits)
        return with_splits(dynamic, model) if plan.scales == "split" else dynamic
    if plan.target != "closed_loop":
        about = _request(plan.scales, plan.bits, plan.target)
        return chosen(about, _seen(plan.target, sizes.steps, sizes.calibration))
    return calibrate(
        model,
        lambda resets: sampled(model, sizes.steps, sizes.calibration, CALIBRATION_SEED, on_batch=resets),
        bits=plan.bits,
        quantizer=plan.scales,
        target=plan.target,
        rounds=ROUNDS,
    )


def sampled(model: Any, steps: int, images: int, seed: int, **options: Any) -> np.ndarray:
    """Sample images in one batch."""
    return sample(model, images=images, steps=steps, batch=images, seed=seed, **options)


@cache
def exact(steps: int, images: int) -> np.ndarray:
    """Return the judged images in full precision."""
    return sampled(zoo.load(MODEL), steps, images, SEED)


def _request(method: str, bits: int, target: str) -> Request:
    return Request(
        bits=bits, method=method, target=target, symmetric=target != "input", groups=1, percentile=99.9, cuts={},
        model=type(zoo.load(MODEL)).__name__,
    )  # fmt: skip


@cache
def _seen(target: str, steps: int, images: int) -> Seen:
    """What the calibration set shows of a target in full precision, whatever the bits and the method."""
    model = zoo.load(MODEL)
    about = _request("minmax", 8, target)
    return observed(model, lambda resets: sampled(model, steps, images, CALIBRATION_SEED, on_batch=resets), about)
