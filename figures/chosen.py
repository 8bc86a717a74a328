"""A figure of a model or at bits that a user chooses: what it is measured with, and what its name and texts say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.experiments.sizes import Effort

BITS = range(2, 17)


def effort(name: str, model: str | None = None, bits: Sequence[int] | None = None) -> Effort:
    """Return the effort of this name with another model, other bits, or both.

    Raises ValueError for bits that are not 2 to 16.
    """
    from analysis.experiments.sizes import effort_of

    for b in bits or ():
        if b not in BITS:
            raise ValueError(f"--bits takes {BITS[0]} to {BITS[-1]} bits, got {b}")
    chosen = replace(effort_of(name), bits=tuple(dict.fromkeys(bits or ())))
    return chosen if model is None else replace(chosen, model=model)


def check(name: str, module: ModuleType, chosen: Effort) -> None:
    """Raise ValueError where a figure cannot be made with this model or these bits, and say why."""
    from .practice import ONE

    takes = getattr(module, "BITS_TAKEN", None)
    if takes is None:
        reason = getattr(module, "FIXED", "it is about theory, and shows no trained model")
        raise ValueError(f"figure {name} takes neither --model nor --bits: {reason}")
    if takes == ONE and len(chosen.bits) > 1:
        raise ValueError(f"figure {name} shows one number of bits, got {' '.join(map(str, chosen.bits))}")
    only = getattr(module, "MODELS", None)
    if only and chosen.model not in only:
        raise ValueError(f"figure {name} is drawn from committed rows, which are of {', '.join(only)}: no --model here")
    if unknown := set(chosen.bits) - set(getattr(module, "BITS_KNOWN", chosen.bits)):
        known = " ".join(map(str, module.BITS_KNOWN))
        raise ValueError(f"figure {name} has no {' '.join(map(str, sorted(unknown)))} bits; known: {known}")


def params(module: ModuleType, effort: str | Effort) -> dict[str, Any]:
    """Return what decides the data of a figure."""
    if isinstance(effort, str):
        known: dict[str, Any] = module.PARAMS[effort]
        return known
    from analysis.experiments.trained_runs import identity

    from .practice import classifier

    own = {"bits": list(effort.bits)} if effort.bits else {}
    if hasattr(module, "MODELS"):  # of committed rows
        return module.PARAMS[effort.name] | own
    about = {"name of the model": effort.model, **identity(effort.model), "classifier": classifier(effort.model)}
    return module.PARAMS[effort.name] | about | own


def texts(module: ModuleType, effort: str | Effort) -> tuple[str, str]:
    """Return title and caption. What was found on the digits model is left out of those of another choice."""
    if isinstance(effort, str):
        return module.TITLE, module.CAPTION
    from .practice import of_model

    one = {"bits": effort.bits[0] if effort.bits else getattr(module, "OWN_BITS", 0)}
    title = getattr(module, "PLAIN_TITLE", module.TITLE)
    about = getattr(module, "ABOUT_MODEL", "") or of_model(effort, weights=hasattr(module, "WEIGHTS"))
    return title, f"{module.TEXT.format(**one)} {about}"


def stem(name: str, effort: str | Effort) -> str:
    """Return the name of the files: NAME, or NAME-MODEL-BITS with what was chosen, and the effort where it is quick.

    Models that are not in the zoo have the first digits of what identifies them, since folders share names.
    """
    if isinstance(effort, str):
        return name
    from analysis.experiments.trained_runs import identity
    from modiff_sim.nn import zoo
    from modiff_sim.sweeps.store import canonical, digest_of

    model = effort.model
    if model not in zoo.MODELS:
        model = f"{Path(model).resolve().name}-{digest_of(canonical(identity(model)).encode())[:8]}"
    quick = ["quick"] if effort.name == "quick" else []
    return "-".join([name, model, *map(str, effort.bits), *quick])
