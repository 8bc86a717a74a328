"""Full-precision quality of the zoo's models:  python -m analysis.training.quality NAME [--data PATH]

It should be known before any quantized number, because the loss of an arm is meaningless where the model itself is bad.
The numbers are written into the json of the model. Colour images can be judged by a classifier of other people as well
(--outside FILE).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modiff_sim.metrics import frechet_distance, nearest_distance
from modiff_sim.nn import image_noise, sample, zoo
from modiff_sim.nn.batching import BATCH

from .. import datasets, metrics
from ..datasets import split
from ..metrics import outside
from ..running import interrupts
from ..running.limits import Parser
from .loop import write_json

#: of more real images than this, only some are compared with the others, since all pairs of 50,000 take long
MANY, SOME = 30_000, 4096


def measure(
    model: torch.nn.Module,
    real: np.ndarray,
    extractor: metrics.Extractor,
    images: int = 1024,
    steps: int = 50,
    also: metrics.Extractor | None = None,
) -> dict[str, Any]:
    """Return the quality of a model's samples (DDIM, eta 0, quad), beside the scores of real images and of noise.

    ``also`` is a further judge of the same images.
    """
    shape = real.shape[1:]
    samples = sample(model, images=images, steps=steps, spacing="quad", shape=shape, batch=BATCH)
    near, within = nearest_distance(samples, real), _among(real)
    out = {
        "images": images, "sampler": f"ddim, eta 0, quad, {steps} steps", "seed": 0,
        "threads": torch.get_num_threads(), **judged(samples, real, extractor),
        "nearest_training_image_p1_p50_p99": np.quantile(near, [0.01, 0.5, 0.99]).round(3).tolist(),
        "real_to_nearest_real_p1_p50_p99": np.quantile(within, [0.01, 0.5, 0.99]).round(3).tolist(),
        "share_nearer_than_p1_of_real": round(float((near < np.quantile(within, 0.01)).mean()), 4),
    }  # fmt: skip
    return out | ({"outside": judged(samples, real, also)} if also else {})


def _among(real: np.ndarray) -> np.ndarray:
    """Return the distances of real images to the nearest other one, where there are many of some of them."""
    if len(real) <= MANY:
        return nearest_distance(real)
    order = np.random.Generator(np.random.PCG64(datasets.SPLIT_SEED)).permutation(len(real))
    return nearest_distance(real[order[:SOME]], real[order[SOME:]])


def judged(samples: np.ndarray, real: np.ndarray, extractor: metrics.Extractor) -> dict[str, Any]:
    """Return what a classifier finds in the samples, in the real images, and in the noise that sampling begins with."""

    def report(images: np.ndarray) -> dict[str, Any]:
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in extractor.report(images).items()}

    images, shape = len(samples), samples.shape[1:]
    noise = np.stack([image_noise(0, i).standard_normal(shape, dtype=np.float32) for i in range(images)])
    half, other = split(len(real), test_share=0.5)
    f, f_real = extractor.features(samples), extractor.features(real)
    out = {
        "features": extractor.name,
        "frechet": round(frechet_distance(f, f_real), 3),
        "frechet_real_halves": round(frechet_distance(f_real[half], f_real[other]), 3),
        "frechet_noise": round(frechet_distance(extractor.features(noise), f_real), 1),
        "samples": report(samples), "real_test_part": report(real[split(len(real))[1]]),
    }  # fmt: skip
    if images > 256 > f.shape[1]:
        out["frechet_first_256"] = round(frechet_distance(f[:256], f_real), 3)
    if len(half) >= images > f.shape[1]:  # with as many real images as samples, this is the score of a perfect model
        out["frechet_real_same_n"] = round(frechet_distance(f_real[half[:images]], f_real[other]), 3)
    return out


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(prog="python -m analysis.training.quality", description=__doc__)
    parser.add_argument("name", choices=zoo.MODELS, help="a model of the zoo")
    parser.add_argument("--data", type=Path, help="path of the data set that it was trained on (not needed for digits)")
    parser.add_argument("--images", type=int, default=1024, help="how many images to sample (default: 1024)")
    parser.add_argument("--outside", type=Path, metavar="FILE", help="a ResNet of other people that judges as well")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        also = outside.load(args.outside) if args.outside else None
        data = datasets.load(zoo.data_set(args.name), args.data)
        if also and data.images.shape[1:] != also.shape:
            raise ValueError(
                f"{also.kind} judges images {also.shape}, and those of {data.name} are {data.images.shape[1:]}"
            )
    except (OSError, ValueError) as problem:
        parser.error(str(problem))
    extractor = metrics.EXTRACTORS[data.name]
    found = measure(zoo.load(args.name), data.images, extractor, args.images, also=also)
    write_json(Path(zoo.__file__).with_name(f"{args.name}.json"), zoo.card(args.name) | {"quality": found})
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.training.quality"))
