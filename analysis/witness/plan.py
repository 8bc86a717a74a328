"""How much is measured on each witness: arms and samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .arms import LAYERS, Arm, baseline, full

SAMPLERS = ("stochastic", "deterministic")
COMPENSATED = (4, 3)  # bits at which the closed loop is compared with direct quantization, on all layers


@dataclass(frozen=True)
class Plan:
    """``samples`` of every arm, in micro-batches of ``batch``."""

    samples: int
    batch: int
    arms: tuple[Arm, ...]


def arms(selections: Mapping[int, tuple[str, ...]]) -> tuple[Arm, ...]:
    """Return the arms, with full precision and the baseline of a sampler before what is compared with them.

    selections: bits -> selections of layers on which direct quantization and the open loop are compared.
    """
    found: list[Arm] = []
    for sampler in SAMPLERS:
        found += [full(sampler), baseline(sampler)]
        for bits, layers in selections.items():
            found += [Arm(sampler, r, bits, chosen) for chosen in layers for r in ("direct", "open_loop")]
        for bits in COMPENSATED:
            found += [Arm(sampler, r, bits) for r in ("direct", "closed_loop")]
    return tuple(dict.fromkeys(found))


#: the layers of pulfer outside its time path are convolutions, so that one selection would be there twice.
#: a sample of CSDI takes 10 times as long: there are fewer, and selections of layers at 6 bits alone
PLANS = {
    "pulfer": Plan(64, 64, arms({6: LAYERS[:2], 4: LAYERS[:2]})),
    "csdi": Plan(32, 8, arms({6: LAYERS, 4: LAYERS[:1]})),
}
