"""Trains the diffusion models that this project ships:  python -m analysis.train NAME [--data PATH]

Writes OUT/NAME.safetensors (averaged weights), OUT/NAME.json (the manifest: settings, data, sha256, speed) and a
picture of samples every so often. Same seed, threads, device and versions: same bytes, also after a kill and --resume.
Where the checkpoint is lost, --begin-from goes on from the averaged weights that an earlier run left.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path

import torch

from . import datasets
from .recipes import RECIPES
from .training import PRECISIONS, train


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m analysis.train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=list(RECIPES), help="the recipe (analysis/recipes.py)")
    parser.add_argument("--data", type=Path, help="folder or .npz with the data set, in any of its usual formats")
    parser.add_argument("--out", type=Path, help="where to write (default: runs/NAME)")
    parser.add_argument("--steps", type=int, help="the learning rate falls to zero over them (default: the recipe's)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop then; go on with --resume")
    parser.add_argument("--threads", type=int, help="of torch on the CPU")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--device", help="cpu or cuda (default: the recipe's)")
    parser.add_argument("--precision", choices=PRECISIONS)
    parser.add_argument("--grid", type=int, default=1000, help="steps between pictures of samples; 0: none")
    parser.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    parser.add_argument(
        "--begin-from", type=Path, metavar="FILE", help="without a checkpoint, go on from these averaged weights"
    )
    args = parser.parse_args(arguments)
    recipe, out = RECIPES[args.name], args.out or Path("runs") / args.name
    changes = {k: getattr(args, k) for k in ("steps", "threads", "seed", "device", "precision")}
    try:
        settings = replace(recipe.settings, **{k: v for k, v in changes.items() if v is not None})
        if settings.device.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError(f"{args.name} asks for a GPU and none is here: pass --device cpu, which takes very long")
        done = train(
            args.name, recipe.config, datasets.load(recipe.data, args.data), settings, out,
            minutes=args.minutes, resume=args.resume, begin_from=args.begin_from, grid_every=args.grid,
            stored=recipe.stored,
        )  # fmt: skip
    except (OSError, ValueError) as problem:
        parser.error(str(problem))
    except KeyboardInterrupt:
        print(f"interrupted; go on from the last checkpoint with --resume --out {out}", file=sys.stderr)
        return 130
    print(f"wrote {done}" if done else f"stopped; go on with --resume --out {out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
