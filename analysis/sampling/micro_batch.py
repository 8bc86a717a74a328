"""One micro-batch of an arm on any model: everything that decides its bytes, and how it is sampled.

The key of a stored micro-batch depends on this module and on what it imports (``analysis.running.code_key``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import torch

from modiff_sim.nn import zoo
from modiff_sim.nn.distributed import device, ranks
from modiff_sim.nn.sampling import micro_batches
from modiff_sim.sweeps.files import digest_of
from modiff_sim.sweeps.output import Output

from ..experiments.arms import Arm
from ..running.code_key import expect, source_of
from ..running.workspace import largest_resident
from .pictures import fingerprint
from .subjects import Subject, subject

MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True)
class BatchPlan:
    """Everything that decides the images, besides the code and its versions."""

    model: str
    arm: Arm
    sampler: str = "ddim"
    steps: int = 50
    spacing: str = ""  # empty: that of the scheduler beside the model, else "quad"
    images: int = 64
    seed: int = 0
    batch: int = 128
    threads: int = 1
    device: str = "cpu"  # "cpu", or the name of the GPU, since another GPU gives other bytes
    memory_format: str = "contiguous"

    def __post_init__(self) -> None:
        own = "quad" if self.model in zoo.MODELS else model_of(self.model).spacing
        object.__setattr__(self, "spacing", self.spacing or own)

    def points(self) -> list[dict[str, Any]]:
        """Return a point per micro-batch. The number of images is not in it, so that a longer run reuses them."""
        about = model_of(self.model)
        fixed = asdict(self) | about.key() | {
            "model_sha256": _loaded(self.model, "cpu", "contiguous")[1],
            "source": source(self.sampler, self.arm.recursion), "dtype": "float32",
        }  # fmt: skip
        del fixed["images"]
        return [fixed | {"micro_batch": i} for i in micro_batches(range(self.images), self.batch)]


def source(*names: str) -> str:
    """sha256 of the code that decides the bytes of a micro-batch with the sampler and recursion of these names."""
    return source_of(__name__, names=names)


def weights_sha256(model: torch.nn.Module) -> str:
    """Return the sha256 of the names, dtypes and values of a model's parameters and buffers."""
    parts = []
    for name, tensor in sorted(model.state_dict().items()):
        content = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        parts.append(f"{name} {tensor.dtype} {tuple(tensor.shape)} {digest_of(content)}")
    return digest_of("\n".join(parts).encode())


@cache
def _loaded(name: str, place: str, memory_format: str) -> tuple[Subject, str]:
    """Load a model with the sha256 of its weights, once per process: leaving an arm restores the model bit for bit."""
    found = subject(name)
    found.model.to(place, memory_format=MEMORY_FORMATS[memory_format])
    return found, weights_sha256(found.model)


def model_of(name: str, place: str = "cpu", memory_format: str = "contiguous") -> Subject:
    """Return a model of the zoo, of a folder or of the hub, with what its sampling needs. It is loaded only once."""
    return _loaded(name, place, memory_format)[0]


def compute(point: Mapping[str, Any], *, maker: int = 0) -> Output:
    """Sample a micro-batch: images float32 (batch, C, H, W), mean and rms pixel, and the share of quantized MACs.

    ``maker`` identifies the run that it is made for. It is noted beside the results, which do not depend on it.
    """
    torch.set_num_threads(point["threads"])
    place = "cpu"
    if point["device"] != "cpu":
        place = str(device("cuda", ranks()))
        if point["device"] != (here := torch.cuda.get_device_name(place)):
            raise ValueError(
                f"the images are to come from a {point['device']}, this is a {here}: the bytes would differ"
            )
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        torch.cuda.reset_peak_memory_stats(place)
    chosen, weights = _loaded(point["model"], place, point["memory_format"])
    expect(point, source=source(point["sampler"], point["arm"]["recursion"]), model_sha256=weights)
    first, batch = point["micro_batch"] * point["batch"], point["batch"]
    with Arm(**point["arm"]).on(chosen.model) as run:
        images = chosen.sample(
            range(first, first + batch),
            batch=batch,
            seed=point["seed"],
            run=run,
            steps=point["steps"],
            sampler=point["sampler"],
            spacing=point["spacing"],
        )
        share = run.audit().summary()["mac_share"] if run else 0.0
    row = fingerprint(images) | {"mac_share": share}
    peak = largest_resident() if place == "cpu" else torch.cuda.max_memory_allocated(place)
    return Output(row, {"images": images}, {"peak_bytes": peak, "maker": maker, "micro_batch": point["micro_batch"]})
