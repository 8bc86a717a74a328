"""Trains the diffusion models that this project ships:  python -m analysis.train NAME [--data PATH]

It writes OUT/NAME.safetensors (averaged weights), OUT/NAME.json (the manifest: settings, data, sha256, speed) and now
and then a picture of samples. The same seed, threads, device and versions give the same bytes, also after a kill and
--resume. If the checkpoint is lost, --begin-from goes on from the averaged weights of an earlier run.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from analysis.running import interrupts

    sys.exit(interrupts.begin("analysis.train"))

import argparse
import math
from dataclasses import replace
from pathlib import Path

import torch

from modiff_sim.console import one_line

from . import datasets
from .running.limits import Parser, positive, whole
from .training.loop import PRECISIONS, RANGES, Course, train
from .training.recipes import RECIPES


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="python -m analysis.train", description=__doc__, formatter_class=form)
    add = parser.add_argument
    add("name", choices=list(RECIPES), help="the recipe (analysis/training/recipes.py)")
    add("--data", type=Path, help="folder or .npz with the data set, in any of its usual formats")
    add("--out", type=Path, help="where to write (default: runs/NAME)")
    steps = "number of steps, over which the learning rate falls to zero (default: the recipe's)"
    add("--steps", type=whole(*RANGES["steps"]), help=steps)
    add("--minutes", type=positive(endless=True), default=math.inf, help="stop after this time; --resume goes on")
    add("--threads", type=whole(*RANGES["threads"]), help="threads of torch on the CPU (default: the recipe's)")
    add("--seed", type=whole(*RANGES["seed"]))
    add("--device", help="cpu or cuda (default: the recipe's)")
    add("--precision", choices=PRECISIONS)
    add("--grid", type=whole(0, RANGES["steps"][1]), default=1000, help="steps between pictures of samples, 0 for none")
    add("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    add("--begin-from", type=Path, metavar="FILE", help="without a checkpoint, go on from these averaged weights")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    args = parser.parse_args(arguments)
    recipe, out = RECIPES[args.name], args.out or Path("runs") / args.name
    changes = {k: getattr(args, k) for k in ("steps", "threads", "seed", "device", "precision")}
    try:
        settings = replace(recipe.settings, **{k: v for k, v in changes.items() if v is not None})
        if settings.device != "cpu" and not torch.cuda.is_available():
            raise ValueError(f"{args.name} needs a GPU, and there is none: pass --device cpu, which takes very long")
        if settings.device[5:] and int(settings.device[5:]) >= torch.cuda.device_count():
            raise ValueError(f"there is no {settings.device}: this machine has {torch.cuda.device_count()} GPUs")
        course = Course(
            minutes=args.minutes,
            resume=args.resume,
            begin_from=args.begin_from,
            grid_every=args.grid,
            stored=recipe.stored,
        )
        done = train(args.name, recipe.config, datasets.load(recipe.data, args.data), settings, out, course)
    except (OSError, ValueError, ImportError) as problem:
        parser.error(one_line(problem))
    except (ArithmeticError, RuntimeError, MemoryError) as problem:  # such as a loss that is NaN, or a full GPU
        print(f"{parser.prog}: {one_line(problem)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stopped:
        print(str(stopped) or "interrupted before the first step", file=sys.stderr)
        return 130
    print(f"wrote {done}" if done else f"stopped after --minutes; go on with --resume --out {out}")
    return 0
