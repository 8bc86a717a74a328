"""An outside judge of colour images: a classifier of CIFAR-10 that other people trained, with its features.

The ResNets of He et al. (2016, section 4.2) for CIFAR-10, as github.com/akamaster/pytorch_resnet_cifar10 (BSD-2) has
trained them. The files are no part of this project; a file is recognised by its sha256. Features are the 64 averages
over the last maps.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modiff_sim.sweeps.store import sha256

from .extractors import CLASSES, Extractor

#: name -> (blocks per width, sha256 of the file)
KNOWN = {
    "ResNet-20": (3, "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8"),
    "ResNet-56": (9, "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367"),
}
SOURCE = "get it from github.com/akamaster/pytorch_resnet_cifar10, commit d1ea1080"
WIDTHS = (16, 32, 64)
#: mean and standard deviation of ImageNet's channels in [0, 1], with which they were trained
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Normalized(nn.Module):
    """Images in [-1, 1], as the classifier takes them: standardized per channel. It has no weights."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the images (n, 3, H, W)."""
        mean, std = (x.new_tensor(v)[:, None, None] for v in (MEAN, STD))
        return ((x + 1) / 2 - mean) / std


class Block(nn.Module):
    """Two 3×3 convolutions around which the input is added; where maps become smaller, every other pixel of it."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.stride = outside // inside
        self.conv1 = nn.Conv2d(inside, outside, 3, stride=self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps (n, outside, H / stride, W / stride)."""
        y = self.bn2(self.conv2(nn.functional.relu(self.bn1(self.conv1(x)))))
        added = (y.shape[1] - x.shape[1]) // 2  # channels of zeros on both sides (option A of the paper)
        shortcut = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, added, added))
        return nn.functional.relu(y + shortcut)


def network(blocks: int) -> nn.Sequential:
    """Make an untrained network from (n, 3, 32, 32) to logits (n, 10). All but its last module give the features."""
    parts: dict[str, nn.Module] = {
        "normalized": Normalized(), "conv1": nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False),
        "bn1": nn.BatchNorm2d(WIDTHS[0]), "relu": nn.ReLU(),
    }  # fmt: skip
    before = WIDTHS[0]
    for i, width in enumerate(WIDTHS, start=1):
        parts[f"layer{i}"] = nn.Sequential(Block(before, width), *(Block(width, width) for _ in range(1, blocks)))
        before = width
    parts |= {"pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(), "linear": nn.Linear(before, CLASSES)}
    return nn.Sequential(OrderedDict(parts))


@dataclass(frozen=True)
class Outside(Extractor):
    """A classifier whose weights are a file of other people, of which only the sha256 is known here."""

    known: str = ""

    def about(self) -> dict[str, Any]:
        """Return the sha256 of the file."""
        return {"sha256": self.known}

    def state(self, data: bytes) -> dict[str, Tensor]:
        """Return the tensors of the file, by the names of ``network``."""
        file: Mapping[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return {name.removeprefix("module."): value for name, value in file["state_dict"].items()}

    @property
    def source(self) -> str:
        """Where the file comes from."""
        return SOURCE


def load(path: Path) -> Outside:
    """Return the classifier in a file.

    Raises ValueError for a file that is none of ``KNOWN``, and OSError where there is none.
    """
    found = sha256(path)
    for name, (blocks, known) in KNOWN.items():
        if found == known:
            return Outside("cifar10", name, (3, 32, 32), WIDTHS[-1], partial(network, blocks), path, known)
    raise ValueError(f"{path} (sha256 {found[:12]}…) is neither {' nor '.join(KNOWN)}: {SOURCE}")
