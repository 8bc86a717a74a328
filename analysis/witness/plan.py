"""How much is measured on each witness: arms and samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .arms import LAYERS, Arm, baseline, full

Selections = Mapping[int, tuple[str, ...]]


@dataclass(frozen=True)
class Plan:
    """``samples`` of every arm, in micro-batches of ``batch``."""

    samples: int
    batch: int
    arms: tuple[Arm, ...]


def arms(selections: Mapping[str, Selections], compensated: Mapping[str, tuple[int, ...]]) -> tuple[Arm, ...]:
    """Return the arms, with full precision and the baseline of a sampler before what is compared with them.

    selections: sampler -> bits -> selections of layers on which direct quantization and the open loop are compared.
    compensated: sampler -> bits at which the closed loop is compared with direct quantization, on all layers.
    """
    found: list[Arm] = []
    for sampler, by_bits in selections.items():
        found += [full(sampler), baseline(sampler)]
        for bits, layers in by_bits.items():
            found += [Arm(sampler, r, bits, chosen) for chosen in layers for r in ("direct", "open_loop")]
        for bits in compensated[sampler]:
            found += [Arm(sampler, r, bits) for r in ("direct", "closed_loop")]
    return tuple(dict.fromkeys(found))


ALL = {6: LAYERS, 4: LAYERS}
#: a sample of CSDI takes 60 times as long: there are fewer, and fewer arms
PLANS = {
    "pulfer": Plan(
        64, 64, arms({"stochastic": ALL, "deterministic": ALL}, {"stochastic": (4, 3), "deterministic": (4, 3)})
    ),
    "csdi": Plan(
        16, 8,
        arms(
            {"stochastic": {6: LAYERS, 4: ("all",)}, "deterministic": {6: ("all",), 4: ("all",)}},
            {"stochastic": (4, 3), "deterministic": (4,)},
        ),
    ),
}  # fmt: skip
