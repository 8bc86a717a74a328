"""What the claims on rounded states share: the loss of SQNR against the closed loop as computed, from one noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modiff_sim import Evidence

BASE = "W8A4 closed loop"


def sqnr_loss(arms: Sequence[str], n: int, *, claimed: float, base: str = BASE, resamples: int = 1000) -> Evidence:
    """Measure by how many dB the median SQNR of images is below that of the base arm, with a paired interval."""
    import torch

    from analysis.experiments import arm_table
    from analysis.sampling.subjects import subject

    torch.set_num_threads(1)
    setting = arm_table.Setting(subject("digits"), images=n, batch=min(n, 64))

    def measured(label: str) -> tuple[np.ndarray, float]:
        made, held, _ = setting.run(arm_table.ARMS[label](setting))
        return arm_table.sqnr_per_image(setting.full, made), held

    before, _ = measured(base)
    draws = np.random.default_rng(0).integers(n, size=(resamples, n))
    loss, low, high, cases = [], [], [], []
    for label in arms:
        after, held = measured(label)
        loss.append(float(np.median(before) - np.median(after)))
        apart = np.median(before[draws], axis=1) - np.median(after[draws], axis=1)
        low.append(float(np.quantile(apart, 0.025)))
        high.append(float(np.quantile(apart, 0.975)))
        cases.append(f"{label}: {loss[-1]:+.1f} [{low[-1]:.1f}, {high[-1]:.1f}] dB, {held:.3f} MiB per image")
    params = {"n": n, "steps": setting.steps, "spacing": setting.spacing, "base": base}
    return Evidence(
        claimed,
        loss,
        low=low,
        high=high,
        cases=cases,
        params=params,
        seed=0,
        note=f"{base} has {np.median(before):.1f} dB; " + "; ".join(cases),
    )
