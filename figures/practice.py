"""What the figures of a trained model share: their key, their texts, their arms."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import Any

from analysis import metrics
from analysis.experiments import trained
from analysis.experiments.sizes import EFFORTS, MODEL, Effort
from modiff_sim.nn import zoo

#: how a figure takes bits: as many as are wanted, or one
MANY, ONE = "many", "one"
STAND_IN = (
    "Model: a small U-Net trained on 8×8 digits, DDIM, which stands in for the paper's CIFAR-10 and LSUN models; "
)
#: whether weights are quantized -> what is said of the quantizer
QUANTIZER = {
    False: "absmax with one scale per sample.",
    True: "absmax with one scale per sample, weights per output channel.",
}


def params() -> dict[str, dict[str, Any]]:
    """Return effort -> what decides the data of such a figure: the settings, and the weights of both networks."""
    try:
        weights = zoo.card(MODEL)["sha256"]
    except OSError:
        weights = "absent"  # it is not trained yet: the data cannot be computed, but plots can be tested
    files = {"model": weights, "classifier": classifier(MODEL)}
    return {name: asdict(effort) | files for name, effort in EFFORTS.items()}


def classifier(model: str) -> str | None:
    """Return the sha256 of the classifier that judges a model's images; None where there is none."""
    judge = metrics.of_model(model)
    return None if judge is None else judge.about().get("sha256", "absent")


def described(text: str, *, bits: int = 0, found: str = "", weights: bool = False) -> str:
    """Return the caption of a figure of the digits model: what is drawn, {bits} filled in, and what was found."""
    return " ".join(filter(None, [text.format(bits=bits), found, STAND_IN + QUANTIZER[weights]]))


def of_model(effort: Effort, *, weights: bool) -> str:
    """Return the sentence on the model of an effort, its sampling and the quantizer."""
    known = {
        MODEL: "a small U-Net trained on 8×8 digits",
        "fashion32": "a U-Net of 1.1 M parameters trained on 32×32 clothes",
        "cifar10_small": "a U-Net of 3.6 M parameters trained on CIFAR-10",
    }
    what = known.get(effort.model, effort.model)
    steps = f"{effort.steps} {effort.spacing} steps (where no others are named)"
    return f"Model: {what}, DDIM, {steps}; {QUANTIZER[weights]}"


@cache
def ablation(effort: str | Effort) -> list[dict[str, Any]]:
    """Return ``experiments.trained.ablation``, once per process."""
    return trained.ablation(effort)
