"""Whole sampling runs of arms on integers and in full precision: how long they take, and how far their images are off.

All arms take turns in one process, each with a run of its own from the same noise, so that whatever else the machine
does affects all of them alike. Times are of the processor, over full precision's of the same turn.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import torch

import modiff_sim as ms
from modiff_sim.metrics import relative_l2
from modiff_sim.nn import deepcache, except_, modulated, time_embedding

from ..sampling.subjects import Subject, subject
from .sizes import EFFORTS, Effort, effort_of

#: the 32×32 model, on which multiplying takes longer than what Python does between the layers
SIZES = {
    "quick": replace(EFFORTS["quick"], model="fashion32", steps=4, n=2),
    "full": replace(EFFORTS["full"], model="fashion32", steps=20, n=16),
}
TURNS = {"quick": 1, "full": 5}
WIDTHS = (8, 6, 4, 3)
FULL = "full precision"


def arms(one: Subject, effort: Effort) -> dict[str, tuple[str, dict[str, Any] | None]]:
    """Return name -> the recursion whose colour it has, and the options of ``modulated``; None for full precision.

    The layers of the timestep stay in full precision.
    """
    chosen: dict[str, tuple[str, dict[str, Any] | None]] = {FULL: (FULL, None)}
    common = {"weights": ms.AbsMax(8), "engine": "auto", "where": except_(time_embedding(one.model))}
    for recursion in ("direct", "closed_loop"):
        for bits in effort.widths(WIDTHS):
            options = common | {"activations": ms.AbsMax(bits), "recursion": recursion}
            chosen[f"{recursion.replace('_', ' ')}, {bits} bits"] = (recursion, options)
    chosen["DeepCache every 2"] = (
        "DeepCache", {"activations": ms.Identity(), "recursion": "direct", "reuse": deepcache(one.model, every=2)},
    )  # fmt: skip
    return chosen


def measure(effort: str | Effort) -> dict[str, np.ndarray]:
    """Return per arm "name", "looks" (recursion or scheme), "time" (median ratio), and "error" (arm, image)."""
    chosen = SIZES[effort] if isinstance(effort, str) and effort in SIZES else effort_of(effort)
    turns = TURNS.get(chosen.name, TURNS["quick"])
    before = torch.get_num_threads()
    torch.set_num_threads(chosen.threads)
    try:
        return _measured(chosen, turns)
    finally:
        torch.set_num_threads(before)


def _measured(effort: Effort, turns: int) -> dict[str, np.ndarray]:
    named = arms(subject(effort.model), effort)
    taken, images = np.empty((turns + 1, len(named))), {}
    with ExitStack() as stack:
        runs = []
        for _, options in named.values():
            one = subject(effort.model)
            runs.append((one, None if options is None else stack.enter_context(modulated(one.model, **options))))
        for turn in taken:
            for i, (name, (one, run)) in enumerate(zip(named, runs, strict=True)):
                start = time.process_time()
                made = one.sample(
                    effort.n, batch=effort.n, steps=effort.steps, spacing=effort.spacing, run=run, seed=effort.seed
                )
                turn[i] = time.process_time() - start
                images[name] = np.asarray(made)
    return {
        "name": np.array(list(named)), "looks": np.array([looks for looks, _ in named.values()]),
        "time": np.median(taken[1:] / taken[1:, :1], axis=0),
        "error": np.stack([relative_l2(images[FULL], images[name]) for name in named]),
    }  # fmt: skip
