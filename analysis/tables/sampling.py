"""One micro-batch of a cell: everything that decides its bytes, and how it is sampled.

The key of a stored micro-batch depends on this module and on what it imports (``analysis.running.code_key``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import torch

from modiff_sim.nn import calibrate, sample, zoo
from modiff_sim.nn.sampling import micro_batches
from modiff_sim.sweeps.output import Output

from ..experiments.arms import CALIBRATION_SEED, Arm
from ..running.code_key import expect, source_of
from ..sampling.pictures import fingerprint
from .cells import Cell

CALIBRATION_IMAGES = 32  # as the official code takes for min-max
#: model -> images per micro-batch, which are among the things that decide the bytes
BATCH = {"digits": 128, "fashion32": 64, "cifar10_small": 64}


def source(*names: str) -> str:
    """Return the sha256 of the code that decides the bytes of a micro-batch with this sampler and recursion."""
    return source_of(__name__, names=names)


def _source(cell: Cell) -> str:
    return source(cell.sampler, cell.arm.recursion)


@dataclass(frozen=True)
class Wanted:
    """A cell with a number of images from one seed."""

    cell: Cell
    images: int
    seed: int


def points(model: str, chosen: Iterable[Wanted]) -> list[dict[str, Any]]:
    """Return the micro-batches that these need, once each, with everything that decides their bytes."""
    fixed = {"model": model, "model_sha256": zoo.card(model)["sha256"], "batch": BATCH[model], "threads": 1,
             "dtype": "float32"}  # fmt: skip
    found: dict[tuple[Cell, int, int], dict[str, Any]] = {}
    for each in chosen:
        for index in micro_batches(range(each.images), BATCH[model]):
            about = {"cell": asdict(each.cell), "source": _source(each.cell), "seed": each.seed, "micro_batch": index}
            found.setdefault((each.cell, each.seed, index), fixed | about)
    return list(found.values())


def compute(point: Mapping[str, Any]) -> Output:
    """Sample a micro-batch: its images, its audit, and mean and rms of its pixels, by which it can be recognised."""
    cell, seed, index = place_of(point)
    expect(point, source=_source(cell), model_sha256=zoo.card(point["model"])["sha256"])
    torch.set_num_threads(point["threads"])
    model = _model(point["model"])
    first = index * point["batch"]

    def calibrated(target: str, bits: int, weights: Any) -> Any:
        return _calibrated(point["model"], cell.full, target, bits, cell.arm.weight_bits)

    with cell.arm.on(model, calibrated) as run:
        made = sample(
            model,
            images=range(first, first + point["batch"]),
            batch=point["batch"],
            seed=seed,
            run=run,
            steps=cell.steps,
            sampler=cell.sampler,
            spacing=cell.spacing,
        )
        audit = run.audit().summary() if run else {"mac_share": 0.0, "activation_bits": 32.0, "saturated_share": 0.0}
    row = {k: audit[k] for k in ("mac_share", "activation_bits", "saturated_share")}
    row["gbops"] = audit["bops"] / point["batch"] / 1e9 if run else None
    return Output(row | fingerprint(made), {"images": made})


#: loaded once per process and kept: leaving an arm restores the model bit for bit
_model = cache(zoo.load)


@cache
def _calibrated(name: str, ground: Cell, target: str, bits: int, weight_bits: int) -> Any:
    """Calibrate MSE-optimal static scales on images of their own, once per process."""
    model, arm = _model(name), Arm(weight_bits=weight_bits)

    def run_sampling(resets: Any) -> object:
        return sample(
            model,
            images=CALIBRATION_IMAGES,
            batch=CALIBRATION_IMAGES,
            seed=CALIBRATION_SEED,
            on_batch=resets,
            steps=ground.steps,
            sampler=ground.sampler,
            spacing=ground.spacing,
        )

    return calibrate(model, run_sampling, bits=bits, quantizer="mse", target=target, weights=arm.weights)


def place_of(point: Mapping[str, Any]) -> tuple[Cell, int, int]:
    """Return the cell, the seed and the number of the micro-batch of a point."""
    about = dict(point["cell"])
    return Cell(**about | {"arm": Arm(**about["arm"])}), point["seed"], point["micro_batch"]
