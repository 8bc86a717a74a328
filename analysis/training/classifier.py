"""Trains the classifiers whose features measure quality:  python -m analysis.training.classifier NAME [--data PATH]

The digits take under a minute, fashion32 a few minutes, and cifar10 half an hour. It uses one thread, because the name
of the features contains the sha256 of the weights. Statistics of the features are saved with them for data sets that do
not come with a package (metrics/reference.py).
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from modiff_sim.metrics.images import checked
from modiff_sim.sweeps.store import sha256, write_atomic

from .. import datasets
from ..datasets import SPLIT_SEED, Images, split
from ..metrics import EXTRACTORS, Extractor, reference
from ..metrics.extractors import CLASSES
from ..running import interrupts
from ..running.limits import Parser
from .loop import progress, write_json


@dataclass(frozen=True)
class ClassifierSettings:
    """How a classifier is trained.

    ``jitter`` is noise on the inputs, so that features do not depend on single grey levels. With ``flips`` half of the
    images are mirrored. Images are shifted by up to ``shifts`` pixels both ways, with their mirror image at the border.
    """

    epochs: int = 60
    batch: int = 64
    lr: float = 3e-3
    weight_decay: float = 0.05
    jitter: float = 0.1
    flips: bool = False
    shifts: int = 0
    seed: int = 0


SETTINGS = {
    "digits": ClassifierSettings(),
    "fashion32": ClassifierSettings(epochs=16, batch=128, flips=True),
    "cifar10": ClassifierSettings(epochs=20, batch=128, flips=True, shifts=4),
}


def train(extractor: Extractor, data: Images, out: Path, settings: ClassifierSettings) -> dict[str, Any]:
    """Train on the training part, and write ``out`` (safetensors) and the json beside it, which is returned.

    Raises
    ------
    ValueError
        The images are of another shape than the extractor's, or of another kind or range, or labels exceed its classes.
    """
    s = settings
    checked("images", data.images, judged=True)
    if data.images.shape[1:] != extractor.shape:
        raise ValueError(f"{data.name} has images {data.images.shape[1:]}, the classifier takes {extractor.shape}")
    if data.labels.max() >= CLASSES:
        raise ValueError(
            f"{data.name} has labels up to {data.labels.max()}, the classifier has classes 0..{CLASSES - 1}"
        )
    torch.set_num_threads(1)
    x, y = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    train_part, test_part = split(len(x))
    rng = torch.Generator().manual_seed(s.seed)
    with torch.random.fork_rng():
        torch.manual_seed(s.seed)
        net = extractor.network()
    opt = torch.optim.AdamW(net.parameters(), lr=s.lr, weight_decay=s.weight_decay)
    per_epoch = len(train_part) // s.batch
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, s.epochs * per_epoch)
    losses: list[float] = []
    for _ in progress(0, s.epochs, lambda: f"loss {losses[-1]:.4f}"):
        order = torch.from_numpy(train_part)[torch.randperm(len(train_part), generator=rng)]
        for part in order[: per_epoch * s.batch].split(s.batch):
            seen = x[part]
            if s.flips:
                mirrored = torch.rand((s.batch, 1, 1, 1), generator=rng) < 0.5
                seen = torch.where(mirrored, seen.flip(-1), seen)
            if s.shifts:
                seen = _shifted(seen, s.shifts, rng)
            noisy = seen + s.jitter * torch.randn((s.batch, *extractor.shape), generator=rng)
            loss = torch.nn.functional.cross_entropy(net(noisy), y[part])
            opt.zero_grad()
            loss.backward()
            opt.step()
            schedule.step()
            losses.append(float(loss.detach()))
    with torch.no_grad():
        right = torch.cat([net(part).argmax(dim=1) for part in x.split(1024)]) == y
    write_atomic(out, safetensors.torch.save(net.state_dict()))
    about = {
        "name": extractor.weights.stem, "sha256": sha256(out), "features": extractor.width,
        "test_accuracy": round(float(right[test_part].double().mean()), 4), "test_images": len(test_part),
        "train_accuracy": round(float(right[train_part].double().mean()), 4), "train_images": len(train_part),
        "data_sha256": data.sha256, "split_seed": SPLIT_SEED, **asdict(s), "torch": torch.__version__,
    }  # fmt: skip
    write_json(out.with_suffix(".json"), about)
    return about


def _shifted(images: torch.Tensor, most: int, rng: torch.Generator) -> torch.Tensor:
    """Shift each image by up to so many pixels both ways, with its mirror image at the border."""
    padded = torch.nn.functional.pad(images, [most] * 4, mode="reflect")
    height, width = images.shape[2:]
    offsets = torch.randint(0, 2 * most + 1, (len(images), 2), generator=rng).tolist()
    return torch.stack([each[:, y : y + height, x : x + width] for each, (y, x) in zip(padded, offsets, strict=True)])


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(prog="python -m analysis.training.classifier", description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=list(SETTINGS), help="the data set")
    parser.add_argument("--data", type=Path, help="path of the data set (not needed for digits)")
    parser.add_argument("--out", type=Path, help="file for the weights (default: in analysis/weights)")
    args = parser.parse_args(arguments)
    extractor = EXTRACTORS[args.name]
    try:
        data = datasets.load(args.name, args.data)
    except (OSError, ValueError) as problem:
        parser.error(str(problem))
    print(json.dumps(train(extractor, data, args.out or extractor.weights, SETTINGS[args.name]), indent=1))
    if args.out is None and args.name != "digits":
        reference.save(reference.compute(data))
        print(f"wrote {reference.FOLDER / args.name}")
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.begin("analysis.training.classifier"))
