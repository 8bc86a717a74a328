"""What the claims on caching and sparsity share: schemes that are measured once, and paired ratios of their errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def measured(effort: str, schemes: Sequence[Any]) -> dict[Any, dict[str, Any]]:
    """Return scheme -> its row of ``analysis.experiments.caching.measure``."""
    from analysis.experiments import caching

    return {row["scheme"]: row for row in caching.measure(effort, list(dict.fromkeys(schemes)))}


def ratio(above: np.ndarray, below: np.ndarray, *, resamples: int = 400) -> tuple[float, float, float]:
    """Return the geometric mean over images of above/below, and its 95 % bootstrap interval over images (seed 0)."""
    logs = np.log(above) - np.log(below)
    rng = np.random.default_rng(0)
    again = logs[rng.integers(len(logs), size=(resamples, len(logs)))].mean(axis=1)
    low, high = np.quantile(again, [0.025, 0.975])
    return float(np.exp(logs.mean())), float(np.exp(low)), float(np.exp(high))


def ratio_of_sums(above: np.ndarray, below: np.ndarray, *, resamples: int = 400) -> tuple[float, float, float]:
    """Return the sum of above over that of below, and its 95 % bootstrap interval over images, paired (seed 800)."""
    again = np.random.default_rng(800).integers(0, len(above), (resamples, len(above)))
    low, high = np.quantile(above[again].sum(1) / below[again].sum(1), [0.025, 0.975])
    return float(above.sum() / below.sum()), float(low), float(high)


def ratios(rows: dict[Any, dict[str, Any]], pairs: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    """Return measured, low, high, cases and note of Evidence: the error of each pair's first scheme over the second."""
    found = [ratio(rows[a]["error"], rows[b]["error"]) for a, b in pairs]

    def word(scheme: Any) -> str:
        row = rows[scheme]
        return f"{row['label']} ({np.median(row['error']):.3g}; {row['bits']:.2f} bits)"

    cases = [f"{word(a)} over {word(b)}" for a, b in pairs]
    measured, low, high = (list(column) for column in zip(*found, strict=True))
    least = int(np.argmin(measured))
    note = f"least {measured[least]:.2f} [{low[least]:.2f}, {high[least]:.2f}]: {cases[least]}"
    return {"measured": measured, "low": low, "high": high, "cases": cases, "note": note}
