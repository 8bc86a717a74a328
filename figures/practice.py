"""What the figures of the trained model share: their key, their texts, their arms."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import Any

from analysis import metrics
from analysis.experiments import digits as experiments
from analysis.experiments.sizes import EFFORTS
from modiff_sim.nn import zoo

STAND_IN = (
    "Model: a small U-Net trained on 8×8 digits, DDIM, which stands in for the paper's CIFAR-10 and LSUN models; "
    "absmax with one scale per sample, weights per output channel."
)


def params() -> dict[str, dict[str, Any]]:
    """Return effort -> what decides the data of such a figure: the settings, and the weights of both networks."""
    try:
        weights = zoo.card(experiments.MODEL)["sha256"]
    except OSError:
        weights = "absent"  # it is not trained yet: the data cannot be computed, but plots can be tested
    files = {"model": weights, "classifier": metrics.EXTRACTORS["digits"].about().get("sha256", "absent")}
    return {name: asdict(effort) | files for name, effort in EFFORTS.items()}


@cache
def ablation(effort: str) -> list[dict[str, Any]]:
    """Return ``experiments.ablation``, once per process."""
    return experiments.ablation(effort)
