"""``python -m analysis.sample --model digits --images 1024 --recursion closed_loop --bits 4 --weight-bits 8 --out DIR``

Samples one arm as a sweep over micro-batches: killed, the same command goes on; it ends with DIR/images.npz and a
manifest, the same bytes whatever ended it before and whoever computed. It runs in this process, in several
(``--workers``), on a Dask cluster (``--scheduler tcp://host:port``), or in the ranks of
``torchrun --nproc-per-node N -m analysis.sample ...``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modiff_sim import sweep
from modiff_sim.nn import zoo
from modiff_sim.nn.architectures import example_inputs
from modiff_sim.nn.distributed import Ranks, device, own_first, ranks, together
from modiff_sim.nn.live import Needs, needs
from modiff_sim.nn.sample import micro_batches
from modiff_sim.recursion import check_warmup
from modiff_sim.samplers import SAMPLERS
from modiff_sim.schedules import SPACINGS
from modiff_sim.store import Store, digest_of, npz_bytes, versions, write_files
from modiff_sim.sweep import Output, Stopped

from .arms import RECURSIONS, REFRESHES, Arm
from .pictures import fingerprint, levels, save_grid
from .source import sampling_source
from .subjects import Subject, subject
from .workspace import largest_resident

NAME = "images"
SCALES = ("sample", "batch", "channel")  # static ones need a calibration: see ``analysis.tables``
MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True)
class Plan:
    """All that decides the images, besides the code and its versions."""

    model: str
    arm: Arm
    sampler: str = "ddim"
    steps: int = 50
    spacing: str = ""  # that of the scheduler beside the model, else "quad"
    images: int = 64
    seed: int = 0
    batch: int = 128
    threads: int = 1
    device: str = "cpu"  # "cpu", or the name of the GPU: another one gives other bytes
    memory_format: str = "contiguous"

    def __post_init__(self) -> None:
        own = "quad" if self.model in zoo.MODELS else _subject(self.model, "cpu", "contiguous").spacing
        object.__setattr__(self, "spacing", self.spacing or own)

    def points(self) -> list[dict[str, Any]]:
        """A point per micro-batch; the number of images is in none, so that more of them begin with these."""
        about = _subject(self.model, "cpu", "contiguous")
        fixed = asdict(self) | about.key() | {
            "model_sha256": weights_sha256(about.model),
            "source": sampling_source(Path(__file__)), "dtype": "float32",
        }  # fmt: skip
        del fixed["images"]
        return [fixed | {"micro_batch": i} for i in micro_batches(range(self.images), self.batch)]


def weights_sha256(model: torch.nn.Module) -> str:
    """Of names, dtypes and values of a model's parameters and buffers."""
    parts = []
    for name, tensor in sorted(model.state_dict().items()):
        content = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        parts.append(f"{name} {tensor.dtype} {tuple(tensor.shape)} {digest_of(content)}")
    return digest_of("\n".join(parts).encode())


@cache
def _subject(name: str, place: str, memory_format: str) -> Subject:
    """Loaded once per process and kept: leaving an arm restores the model bit for bit."""
    found = subject(name)
    found.model.to(place, memory_format=MEMORY_FORMATS[memory_format])
    return found


def compute(point: Mapping[str, Any]) -> Output:
    """One micro-batch: its images float32 (batch, C, H, W), its mean and rms pixel and the share of quantized MACs."""
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
    chosen = _subject(point["model"], place, point["memory_format"])
    first, batch = point["micro_batch"] * point["batch"], point["batch"]
    with Arm(**point["arm"]).on(chosen.model) as run:
        images = chosen.sample(
            range(first, first + batch), batch=batch, seed=point["seed"], run=run, steps=point["steps"],
            sampler=point["sampler"], spacing=point["spacing"],
        )  # fmt: skip
        share = run.audit().summary()["mac_share"] if run else 0.0
    row = fingerprint(images) | {"mac_share": share}
    peak = largest_resident() if place == "cpu" else torch.cuda.max_memory_allocated(place)
    return Output(row, {"images": images}, {"peak_bytes": peak})


def memory(model: str, arm: Arm) -> Needs:
    """What sampling this arm needs, predicted from shapes."""
    network = _subject(model, "cpu", "contiguous").model
    inputs, named = example_inputs(network)
    return needs(
        network, *inputs, **named, weights=arm.weight_bits != 32, states=arm.bits != 32 and arm.recursion != "direct"
    )


def make(plan: Plan, out: Path, *, workers: int | None = 1, scheduler: str | None = None) -> dict[str, float] | None:
    """Sample what is missing; on the first rank write images.npz (float32), levels.npz (uint8) and their manifest.

    Returns what it took, on the first rank; None on the others.
    """
    store, points = Store(out / "store"), plan.points()
    start, missing = time.perf_counter(), [point for point in points if not store.has(NAME, point)]
    with together(out, points) as who:
        sweep.run(
            own_first(points, who), compute, store, name=NAME, workers=1 if who.world > 1 else workers,
            scheduler=scheduler, label=f"{plan.model}, {plan.arm.label}" if who.first else "",
        )  # fmt: skip
        seconds = time.perf_counter() - start
    if not who.first:
        return None
    rows = sweep.run(points, compute, store, name=NAME, workers=1)
    images = np.concatenate([store.load(NAME, point).arrays["images"] for point in points])[: plan.images]
    about = {"params": asdict(plan), "dtype": "float32", "versions": versions(), "source": points[0]["source"],
             "model_sha256": points[0]["model_sha256"], "mac_share": rows[0]["mac_share"]}  # fmt: skip
    about |= _subject(plan.model, "cpu", "contiguous").key()
    content = {"images.npz": npz_bytes({"images": images}), "levels.npz": npz_bytes({"images": levels(images)})}
    write_files(out, content, about)
    measured = sweep.asides(points, store, name=NAME)
    made = sum(min(plan.batch, plan.images - point["micro_batch"] * plan.batch) for point in missing)
    share = len(measured) / len(points)
    by_one = share * plan.images / sum(m["seconds"] for m in measured) if measured else 0.0
    return {
        "images": made, "seconds": seconds, "images_per_s": made / seconds, "images_per_s_and_worker": by_one,
        "peak_mib": max((m["peak_bytes"] for m in measured), default=0) / 2**20,
    }  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    about, _, _ = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog="python -m analysis.sample", description=about.replace("``", ""))
    add = parser.add_argument
    add("--model", required=True, help=f"of the zoo ({', '.join(zoo.MODELS)}), a folder, or a hub name")
    add("--images", type=int, default=64, help="how many (default: 64)")
    add("--steps", type=int, default=50, help="timesteps (default: 50)")
    add("--sampler", choices=SAMPLERS, default="ddim", help="(default: ddim)")
    add("--spacing", choices=SPACINGS, help="(default: that of the scheduler beside the model, else quad)")
    add("--recursion", choices=RECURSIONS, default="direct", help="(default: direct)")
    add("--bits", type=int, default=32, help="of activations or residuals; 32 is full precision (default)")
    add("--weight-bits", type=int, default=32, help="32 is full precision (default)")
    add("--scale", choices=SCALES, default="sample", help="what shares a scale (default: sample)")
    add("--warmup", default="exact", help="exact, quantized, or how often the first input is fed (default: exact)")
    add("--refresh", choices=REFRESHES, default="never", help="(default: never)")
    add("--seed", type=int, default=0, help="of the noise (default: 0)")
    add("--batch", type=int, help="images per micro-batch, part of what decides the bytes (default: 128)")
    add("--memory-budget", type=float, metavar="MIB", help="choose the batch by its predicted need, within a fifth")
    add("--threads", type=int, default=1, help="torch threads, part of what decides the bytes (default: 1)")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="(default: cuda where there is one)")
    add("--memory-format", choices=MEMORY_FORMATS, default="contiguous", help="(default: contiguous)")
    add("--workers", type=int, default=1, help="processes of this machine (default: 1)")
    add(
        "--scheduler", metavar="ADDRESS", help="a Dask scheduler, tcp://host:port, instead of processes of this machine"
    )
    add("--out", type=Path, required=True, metavar="DIR", help="where images.npz is written, and DIR/store on the way")
    add("--grid", type=Path, metavar="FILE.png", help="also draw the first 100")
    return parser


def planned(args: argparse.Namespace, who: Ranks) -> Plan:
    """Raises ValueError for what does not fit together."""
    if min(args.images, args.steps, args.threads, 1 if args.batch is None else args.batch) < 1 or args.seed < 0:
        raise ValueError("--images, --steps, --threads and --batch must be at least 1, --seed at least 0")
    if args.batch and args.memory_budget:
        raise ValueError("--batch or --memory-budget: one decides the other")
    if who.world > 1 and (args.workers != 1 or args.scheduler):
        raise ValueError("torchrun starts the processes: --workers and --scheduler mean nothing under it")
    warmup = int(args.warmup) if args.warmup.isdecimal() else args.warmup
    arm = Arm(args.recursion, args.bits, args.weight_bits, args.scale, warmup, args.refresh)
    check_warmup(warmup)
    _ = arm.activations, arm.weights  # bits that no quantizer has are refused before anything starts
    place = device(args.device, who)
    name = "cpu" if place.type == "cpu" else torch.cuda.get_device_name(place)
    batch = args.batch or 128
    if args.memory_budget:
        batch = memory(args.model, arm).largest_batch(int(args.memory_budget * 2**20))
    return Plan(
        args.model, arm, args.sampler, args.steps, args.spacing or "", args.images, args.seed, batch, args.threads,
        name, args.memory_format,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    args = parser.parse_args(arguments)
    try:
        who = ranks()
        plan = planned(args, who)
        for sentence in _subject(plan.model, "cpu", "contiguous").about if who.first else ():
            print(sentence, flush=True)
        took = make(plan, args.out, workers=args.workers, scheduler=args.scheduler)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    except RuntimeError as error:  # failed points, ranks that do not agree
        print(error, file=sys.stderr)
        return 1
    except Stopped as error:
        print(error, file=sys.stderr)
        return 130
    if took is None:
        return 0
    if args.grid:
        with np.load(args.out / "images.npz") as file:
            save_grid(file["images"][:100], args.grid)
    predicted = memory(plan.model, plan.arm).total(plan.batch) / 2**20
    print(
        f"{args.out / 'images.npz'}: {plan.images} images, {plan.arm.label}; {took['images']:.0f} of them made now in "
        f"{took['seconds']:.1f} s, {took['images_per_s']:.2f} images/s ({took['images_per_s_and_worker']:.2f} by one "
        f"worker), peak {took['peak_mib']:.0f} MiB by one ({predicted:.0f} predicted without libraries), "
        f"batch {plan.batch}"
    )
    return 0


if __name__ == "__main__":
    from analysis import sample  # so that ``compute`` belongs to a module that workers can import

    sys.exit(sample.main())
