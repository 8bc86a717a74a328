"""The witnesses by name, and their files, which are recognised by their sha256."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from modiff_sim.sweeps.store import sha256

from . import csdi, pulfer


@dataclass(frozen=True)
class Witness:
    """A trained model of other people; ``network`` is the module that describes it, ``unit`` that of its values."""

    network: ModuleType
    file: str
    sha256: str
    source: str
    licence: str
    kind: str
    unit: str


WITNESSES = {
    "pulfer": Witness(
        pulfer, "pulfer_ddpm_fashion.pt", "2808c36abc1dd1634766078b611be363683ca7385deee8077944d9f7ce95c43b",
        "github.com/BrianPulfer/PapersReimplementations, commit 31ca7b8c, ddpm/ddpm_fashion.pt", "MIT",
        "U-Net, images of clothes 1×28×28", "PSNR, dB",
    ),
    "csdi": Witness(
        csdi, "csdi_physio_model.pth", "9acb4ee828a0c271466814c703d00c666caecb826fc5e9c2438ae39bd8d72771",
        "github.com/ermongroup/CSDI, commit 16478a9f, save/pretrained/model.pth", "MIT",
        "transformer, imputed series 35×12", "SNR of the imputed values, dB",
    ),
}  # fmt: skip


class WitnessError(ValueError):
    """A file of a witness is missing or is another one."""


def path_of(name: str, folder: Path) -> Path:
    """Return the file of a witness after comparing its sha256.

    Raises WitnessError where it is missing, or is not the file that was measured.
    """
    known = WITNESSES[name]
    path = folder / known.file
    if not path.is_file():
        raise WitnessError(f"{path} is missing: get it from {known.source} ({known.licence}) and put it there")
    if (found := sha256(path)) != known.sha256:
        raise WitnessError(
            f"{path} is another file than the one that was measured (sha256 {found[:12]}…, not {known.sha256[:12]}…): "
            f"get {known.source}, or give another model a name of its own in analysis/witness/witnesses.py"
        )
    return path


@cache
def load(name: str, folder: Path) -> nn.Module:
    """Return the network with its weights, in eval mode. Raises WitnessError as ``path_of`` does."""
    return built(WITNESSES[name].network, torch.load(path_of(name, folder), map_location="cpu", weights_only=True))


@cache
def conditions(name: str, folder: Path, indices: range) -> dict[str, torch.Tensor]:
    """Return what these samples of a witness are given besides noise, a row each. It must not be modulated."""
    found: dict[str, torch.Tensor] = WITNESSES[name].network.conditions(load(name, folder), indices)
    return found


def built(network: ModuleType, state: Mapping[str, torch.Tensor]) -> nn.Module:
    """Return the network with these weights, in eval mode. Raises RuntimeError unless names and shapes all fit."""
    made: nn.Module = network.Network()
    made.load_state_dict(network.renamed(state), strict=True)
    return made.eval().requires_grad_(False)
