"""What the claims on two samplers share: the gain of the closed loop under one over that under the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modiff_sim import Evidence

from .._rows import excess, images_of, params


def gain_over_gain(name: str, arms: Sequence[Sequence[Any]], label: str) -> Evidence:
    """Compare the gains, loss of direct over loss of the closed loop, of the first pair of arms with the second.

    A loss is the excess of an arm over quantized weights alone under the same sampler. Where one of the four is too
    small to be told from 0, the gains say nothing, and the evidence is NOT_RUN.
    """
    from modiff_sim.metrics.jackknife import product

    (direct, closed), (other_direct, other_closed) = (
        [excess(name, arm, arm.weights_only) for arm in pair] for pair in arms
    )
    gains = product([(direct, 1), (closed, -1), (other_direct, -1), (other_closed, 1)])
    about = params(name) | {"images": images_of(name, *(c for pair in arms for arm in pair for c in (arm, arm.full)))}
    if not gains.low > 0:
        return Evidence(
            not_run=f"{label}: a loss is too small to be told from 0 by {about['images']} images", params=about
        )
    case = f"{label}: {gains.value:.3g} [{gains.low:.3g}, {gains.high:.3g}]"
    return Evidence(1.0, gains.value, low=gains.low, high=gains.high, cases=case, note=case, seed=0, params=about)
