"""The trained digits model with quantized attention, quantized layers, or both: errors of its images."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

SIZES = {"quick": (64, 20), "full": (64, 50)}  # images, steps


@cache
def _full_precision(effort: str) -> np.ndarray:
    from modiff_sim.nn import sample, zoo

    images, steps = SIZES[effort]
    return sample(zoo.load("digits"), images=images, steps=steps, batch=64, spacing="quad")


@cache
def errors(effort: str, *, attention: Any = None, layers: int = 32) -> tuple[np.ndarray, float]:
    """Return the relative l2 error of every image against full precision, and the bit operations of the products.

    ``layers`` are the bits of the modulated layers (closed loop, one scale per sample); 32 does not modulate them.
    """
    import torch

    from modiff_sim import AbsMax, Identity
    from modiff_sim.nn import modulated, sample, zoo

    images, steps = SIZES[effort]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        exact, model = _full_precision(effort), zoo.load("digits")
        quiet = {"activations": Identity(), "recursion": "direct"}
        chosen = quiet if layers == 32 else {"activations": AbsMax(layers), "recursion": "closed_loop"}
        with modulated(model, attention=attention, **chosen) as run:
            out = sample(model, images=images, steps=steps, batch=64, spacing="quad", run=run)
    finally:
        torch.set_num_threads(before)
    norm = [np.linalg.norm(x.reshape(images, -1), axis=1) for x in (out - exact, exact)]
    return norm[0] / norm[1], sum(x.bops for x in run.audit().layers if x.kind in ("qk", "sv"))


def everything(bits: int, recursion: str) -> Any:
    """Return q, k, v and softmax at these bits. The softmax is unsigned where it is quantized itself."""
    from modiff_sim import AbsMax, MinMax
    from modiff_sim.nn import Attention

    Q = AbsMax(bits)
    return Attention(q=Q, k=Q, v=Q, softmax=MinMax(bits) if recursion == "direct" else Q, recursion=recursion)


def median_ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the ratio of medians over axis 1."""
    return np.median(a, axis=1) / np.median(b, axis=1)
