"""``python -m analysis.sample --model digits --images 1024 --recursion closed_loop --bits 4 --weight-bits 8 --out DIR``

This samples one arm as a sweep over micro-batches. If it is killed, the same command goes on. It ends with
DIR/images.npz and a manifest, whose bytes depend neither on interruptions nor on who computed. It runs in this process,
in several (``--workers``), on a Dask cluster (``--scheduler tcp://host:port``), or in the ranks of
``torchrun --nproc-per-node N -m analysis.sample ...``.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from analysis.running import interrupts

    sys.exit(interrupts.begin("analysis.sample"))

import argparse
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import distributed

from modiff_sim import RECURSIONS
from modiff_sim.arguments import affordable
from modiff_sim.console import one_line
from modiff_sim.diffusion.samplers import SAMPLERS
from modiff_sim.diffusion.schedules import SPACINGS
from modiff_sim.nn import zoo
from modiff_sim.nn.distributed import Ranks, device, own_first, ranks, together
from modiff_sim.nn.models.architectures import example_inputs
from modiff_sim.nn.models.memory import Needs, needs
from modiff_sim.recursion import check_warmup
from modiff_sim.sweeps import sweep
from modiff_sim.sweeps.store import Store, npz_bytes, versions, write_files
from modiff_sim.sweeps.sweep import SweepError

from .experiments.arms import LAYERS, REFRESHES, Arm
from .running import limits
from .sampling.micro_batch import MEMORY_FORMATS, BatchPlan, compute, model_of
from .sampling.pictures import levels, save_grid

NAME = "images"
WORKER = 400 * 2**20  # bytes that a process takes before it computes anything
MOST_FEEDS = 1000  # how often the first input may be fed: as many times as models have timesteps
SCALES = ("sample", "batch", "channel")  # static scales need a calibration: see ``analysis.tables``


def memory(model: str, arm: Arm) -> Needs:
    """Return the memory that sampling this arm needs, predicted from shapes."""
    network = model_of(model).model
    inputs, named = example_inputs(network)
    return needs(
        network, *inputs, **named, weights=arm.weight_bits != 32, states=arm.bits != 32 and arm.recursion != "direct"
    )


def make(
    plan: BatchPlan, out: Path, *, workers: int | None = 1, scheduler: str | None = None
) -> dict[str, float] | None:
    """Sample what is missing. The first rank writes images.npz (float32), levels.npz (uint8) and their manifest.

    Returns what it took on the first rank, and None on the others. Images count as made if this run made them, all of
    its ranks and workers together, and not another run on the same folder at the same time.
    """
    store, points = Store(out / "store"), plan.points()
    start, maker = time.perf_counter(), [secrets.randbits(52)]
    with together(out, points) as who:
        if who.world > 1:
            distributed.broadcast_object_list(maker)
        sweep.run(
            own_first(points, who),
            partial(compute, maker=maker[0]),
            store,
            name=NAME,
            workers=1 if who.world > 1 else workers,
            scheduler=scheduler,
            label=f"{plan.model}, {plan.arm.label}" if who.first else "",
        )
        seconds = time.perf_counter() - start
    if not who.first:
        return None
    rows = sweep.run(points, compute, store, name=NAME, workers=1)
    images = np.concatenate([store.load(NAME, point).arrays["images"] for point in points])[: plan.images]
    about = {"params": asdict(plan), "dtype": "float32", "versions": versions(), "source": points[0]["source"],
             "model_sha256": points[0]["model_sha256"], "mac_share": rows[0]["mac_share"]}  # fmt: skip
    about |= model_of(plan.model).key()
    content = {"images.npz": npz_bytes({"images": images}), "levels.npz": npz_bytes({"images": levels(images)})}
    write_files(out, content, about)
    measured = sweep.asides(points, store, name=NAME)
    own = [int(m["micro_batch"]) for m in measured if m.get("maker") == maker[0]]
    made = sum(min(plan.batch, plan.images - i * plan.batch) for i in own)
    share = len(measured) / len(points)
    by_one = share * plan.images / sum(m["seconds"] for m in measured) if measured else 0.0
    return {
        "images": made, "seconds": seconds, "images_per_s": made / seconds, "images_per_s_and_worker": by_one,
        "peak_mib": max((m["peak_bytes"] for m in measured), default=0) / 2**20,
    }  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    about, _, _ = (__doc__ or "").partition("\n\n")
    parser = limits.Parser(prog="python -m analysis.sample", description=about.replace("``", ""))
    add = parser.add_argument
    add("--model", required=True, help=f"a model of the zoo ({', '.join(zoo.MODELS)}), a folder, or a hub name")
    add("--images", type=limits.whole(1, 10**15), default=64, help="how many images (default: 64)")
    add("--steps", type=limits.whole(1, 10**5), default=50, help="timesteps (default: 50)")
    add("--sampler", choices=SAMPLERS, default="ddim", help="(default: ddim)")
    add(
        "--spacing",
        choices=SPACINGS,
        help="spacing of the timesteps (default: that of the scheduler beside the model, else quad)",
    )
    add("--recursion", choices=RECURSIONS, default="direct", help="(default: direct)")
    add("--bits", type=int, default=32, help="bits of activations or residuals; 32 is full precision (default)")
    add("--weight-bits", type=int, default=32, help="bits of weights; 32 is full precision (default)")
    add("--scale", choices=SCALES, default="sample", help="what shares a scale (default: sample)")
    add("--warmup", default="exact", help="exact, quantized, or how often the first input is fed (default: exact)")
    add("--refresh", choices=REFRESHES, default="never", help="(default: never)")
    add("--layers", choices=LAYERS, default="all", help="which layers have quantized inputs (default: all)")
    add("--seed", type=limits.whole(0, limits.MOST_SEED), default=0, help="seed of the noise (default: 0)")
    batch = "images per micro-batch, which can change the last bits of the images (default: 128)"
    add("--batch", type=limits.whole(1, 2**20), help=batch)
    budget = "choose the largest batch whose predicted memory fits, which is accurate to a fifth"
    add("--memory-budget", type=limits.positive(), metavar="MIB", help=budget)
    threads = "torch threads, which can change the last bits of the images (default: 1)"
    add("--threads", type=limits.whole(1, limits.MOST_THREADS), default=1, help=threads)
    add(
        "--device",
        choices=["auto", "cpu", "cuda"],
        default="auto",
        help="where to compute (default: cuda if there is a GPU)",
    )
    add("--memory-format", choices=MEMORY_FORMATS, default="contiguous", help="(default: contiguous)")
    add("--workers", type=int, default=1, help="processes on this machine (default: 1)")
    add(
        "--scheduler", metavar="ADDRESS", help="a Dask scheduler, tcp://host:port, instead of processes on this machine"
    )
    add(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for images.npz, and for unfinished work in DIR/store",
    )
    add("--grid", type=Path, metavar="FILE.png", help="also draw the first 100 images")
    return parser


def planned(args: argparse.Namespace, who: Ranks) -> BatchPlan:
    """Return the plan of the arguments.

    Raises ValueError for options that do not fit together, and OSError or MemoryError for what this machine cannot
    hold.
    """
    if args.batch and args.memory_budget:
        raise ValueError("--batch and --memory-budget exclude each other: pass one of them, which decides the other")
    if who.world > 1 and (args.workers != 1 or args.scheduler):
        raise ValueError("torchrun starts the processes: leave out --workers and --scheduler")
    if not 1 <= args.workers <= limits.MOST_THREADS:
        raise ValueError(f"--workers must be at least 1 and at most {limits.MOST_THREADS}, got {args.workers}")
    warmup = int(args.warmup) if args.warmup.isdecimal() else args.warmup
    if isinstance(warmup, int) and warmup > MOST_FEEDS:
        raise ValueError(f"--warmup feeds the first input at most {MOST_FEEDS} times, got {args.warmup[:40]}")
    arm = Arm(args.recursion, args.bits, args.weight_bits, args.scale, warmup, args.refresh, args.layers)
    check_warmup(warmup)
    _ = arm.activations, arm.weights  # so that unsupported bits are refused before anything starts
    place = device(args.device, who)
    name = "cpu" if place.type == "cpu" else torch.cuda.get_device_name(place)
    batch = args.batch or 128
    if args.memory_budget:
        batch = memory(args.model, arm).largest_batch(int(min(args.memory_budget, 2**40) * 2**20))
    plan = BatchPlan(
        args.model,
        arm,
        args.sampler,
        args.steps,
        args.spacing or "",
        args.images,
        args.seed,
        batch,
        args.threads,
        name,
        args.memory_format,
    )
    _check_room(plan, args)
    return plan


def _check_room(plan: BatchPlan, args: argparse.Namespace) -> None:
    """Raise ValueError, OSError or MemoryError, before hours of sampling, for what cannot be held or written."""
    shape = model_of(plan.model).shape
    limits.writable(args.out / "store")
    limits.check_images(plan.images, shape, plan.batch, args.out)
    limits.check_file(args.out / "images.npz")
    if args.scheduler is None:
        affordable(f"{args.workers} workers", min(args.workers, -(-plan.images // plan.batch)) * WORKER)
    if plan.device == "cpu" and (need := _predicted(plan)) is not None:
        affordable(f"{plan.batch} images per micro-batch", need)
    if args.grid:
        limits.check_file(args.grid)
        if shape[0] not in (1, 3):
            raise ValueError(f"--grid draws images of 1 or 3 channels, and those of {plan.model} have {shape[0]}")


def _predicted(plan: BatchPlan) -> float | None:
    """Return the predicted bytes of a process; None for a model that cannot be run on shapes alone."""
    try:
        return memory(plan.model, plan.arm).total(plan.batch)
    except Exception:  # models of others may raise nearly any exception there, and can be sampled all the same
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    args = parser.parse_args(arguments)
    try:
        who = ranks()
        try:
            plan = planned(args, who)
        except MemoryError as error:  # raised by the checks: nothing has begun
            parser.error(one_line(error))
        for sentence in model_of(plan.model).about if who.first else ():
            print(sentence, flush=True)
        workers = min(args.workers, -(-plan.images // plan.batch))
        took = make(plan, args.out, workers=workers, scheduler=args.scheduler)
        if took is None:
            return 0
        if args.grid:
            with np.load(args.out / "images.npz") as file:
                save_grid(file["images"][:100], args.grid)
        print(_told(plan, args.out, took))
    except (ValueError, OSError, ImportError) as error:
        parser.error(one_line(error))
    except SweepError as error:  # which names the first point that failed
        print(error, file=sys.stderr)
        return 1
    except (RuntimeError, MemoryError) as error:  # ranks that disagree, or a full memory
        print(f"{parser.prog}: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stopped:
        kept = f"interrupted: what is finished is kept in {args.out / 'store'}, and the same command goes on from there"
        print(str(stopped) or kept, file=sys.stderr)
        return 130
    return 0


def _told(plan: BatchPlan, out: Path, took: Mapping[str, float]) -> str:
    need = _predicted(plan)
    predicted = "" if need is None else f" ({need / 2**20:.0f} predicted without libraries)"
    return (
        f"{out / 'images.npz'}: {plan.images} images, {plan.arm.label}; {took['images']:.0f} of them made now in "
        f"{took['seconds']:.1f} s, {took['images_per_s']:.2f} images/s ({took['images_per_s_and_worker']:.2f} by one "
        f"worker), peak {took['peak_mib']:.0f} MiB by one{predicted}, batch {plan.batch}"
    )
