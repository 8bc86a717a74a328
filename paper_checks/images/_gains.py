"""What the claims on two samplers share: the gain of the closed loop under one over that under the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modiff_sim import Evidence

from .._rows import excess, params


def gain_over_gain(name: str, arms: Sequence[Sequence[Any]], label: str) -> Evidence:
    """Compare the gains, loss of direct over loss of the closed loop, of the first pair of arms with the second.

    A loss is the excess of an arm over quantized weights alone under the same sampler, from the most images that both
    have. Where one of the four is too small to be told from 0, the gains say nothing, and the evidence is NOT_RUN.
    """
    from modiff_sim.metrics.jackknife import product

    pairs = [(arm, arm.weights_only) for pair in arms for arm in pair]
    powers = (1, -1, -1, 1)
    gains = product([(excess(name, *pair), power) for pair, power in zip(pairs, powers, strict=True)])
    about = params(name, pairs)
    if not gains.low > 0:
        images = about["images"]
        return Evidence(not_run=f"{label}: a loss is too small to be told from 0 by {images} images", params=about)
    case = f"{label}: {gains.value:.3g} [{gains.low:.3g}, {gains.high:.3g}]"
    return Evidence(1.0, gains.value, low=gains.low, high=gains.high, cases=case, note=case, seed=0, params=about)
