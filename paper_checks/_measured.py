"""Evidence that was measured once at effort full: measured/ID.json, one file for each claim on a trained model.

Effort quick judges this evidence, and effort full measures anew. ``python -m paper_checks --effort full --keep`` writes
it. A claim on a trained model that takes no longer than reading does is measured in every run: its file says
``LIVE = True``.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from analysis.running import measured
from modiff_sim import Evidence
from modiff_sim.evidence import Premise
from modiff_sim.sweeps.store import StoreError, plain

FOLDER = Path(__file__).parent / "measured"
NUMBERS = ("claimed", "measured", "low", "high", "atol", "trivial")


def is_live(module: ModuleType) -> bool:
    """Whether a claim is measured at every effort."""
    return module.CLAIM.topic == "theory" or getattr(module, "LIVE", False)


def evidence(module: ModuleType, folder: Path | None = None) -> Evidence:
    """Return the evidence of a claim as it was measured; NOT_RUN evidence with the reason where there is none."""
    try:
        found, about = measured.load((folder or FOLDER) / f"{module.CLAIM.id}.json", module.__name__)
    except StoreError as error:
        reason = f"{error}: measure it again (python -m paper_checks --effort full --keep --only {module.CLAIM.id})"
        return Evidence(not_run=reason)
    made = f"at effort {about['effort']}, by {about['made by']}"
    read = decoded(found)
    return replace(read, params={**read.params, "measured": made})


def save(module: ModuleType, found: Evidence, seconds: float, folder: Path | None = None) -> Path:
    """Write the evidence of a claim. Raises ValueError where nothing was measured."""
    if found.not_run:
        raise ValueError(f"{module.CLAIM.id} was not measured: {found.not_run}")
    path = (folder or FOLDER) / f"{module.CLAIM.id}.json"
    measured.save(path, module.__name__, encoded(found), seconds=seconds)
    return path


def encoded(found: Evidence) -> dict[str, Any]:
    """Return evidence as JSON values: of each field that is not the default, with "inf" and "-inf" as texts."""
    kept = {field.name: getattr(found, field.name) for field in fields(Evidence)}
    for name in NUMBERS:
        if kept[name] is not None:
            kept[name] = _texts(np.asarray(kept[name]).tolist())
    kept["premises"] = [[p.name, bool(p.holds), p.detail] for p in found.premises]
    default = plain(Evidence())
    return {name: value for name, value in plain(kept).items() if value != default[name]}


def decoded(kept: dict[str, Any]) -> Evidence:
    """Return the evidence that ``encoded`` wrote."""
    numbers = {name: np.array(_numbers(kept[name]), np.float64) for name in NUMBERS if name in kept}
    premises = tuple(Premise(*each) for each in kept.get("premises", ()))
    return Evidence(**(kept | numbers | {"premises": premises}))


def _texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_texts(each) for each in value]
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def _numbers(value: Any) -> Any:
    return [_numbers(each) for each in value] if isinstance(value, list) else float(value)
