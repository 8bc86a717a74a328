"""``modulated(model, activations=Q, ...)``: a model's forward becomes an arm of the paper, for as long as you say.

    with modulated(model, activations=ms.AbsMax(4), recursion="closed_loop") as run:
        images = sample(model, images=64, steps=50, run=run)
        print(run.audit())

State belongs to the run, never to the model; leaving the context restores the model bit for bit, after an exception
too. The arithmetic is simulated: values on the quantization grid in the model's own dtype. No gradients flow.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from torch import nn

from .. import recursion as _recursion
from ..quantizers.base import Quantizer
from .attention.attention import Attention
from .hooks.undo import Context
from .layers import Weights, Where
from .plans.plan import Plan
from .plans.reuse import Reuse
from .run.options import Options, Skip, Stored
from .run.run import Run, active_run

__all__ = ["ENGINES", "active_run", "modulated"]

ENGINES = ("simulated",)


def modulated(
    model: nn.Module,
    *,
    activations: Quantizer | Plan,
    weights: Weights = None,
    recursion: str | _recursion.Recursion = "closed_loop",
    warmup: _recursion.Warmup = "exact",
    refresh: _recursion.Refresh = "never",
    where: Where | None = None,
    skip: Skip = None,
    storage: Stored = None,
    attention: Attention | None = None,
    reuse: Reuse | None = None,
    engine: str = "simulated",
    seed: int = 0,
) -> AbstractContextManager[Run]:
    """Run the model's Conv1d, Conv2d and Linear layers as an arm of the paper while the context is open.

    activations: quantizer of the layers' inputs (direct) or residuals (open and closed loop), or a plan that names one
                 per layer and call (``nn.plans``, ``nn.calibrate``).
    weights:     quantizer of the weights, applied once, or quantized weights (``nn.weights``); None leaves them.
                 ``AbsMax(8)`` is per output channel (axis 0).
    recursion:   "direct" (PTQ), "open_loop" (no error compensation), "closed_loop" (MoDiff), or
                 a ``Recursion`` of your own.
    warmup, refresh: see ``modiff_sim.recursion``; they count a layer's calls since the last ``run.reset()``. "direct"
                 has no state: it does every call alike, refreshes excepted; ``warmup`` means nothing for it,
                 ``skip`` and ``storage`` are refused.
    where:       (qualified name, module) -> bool, which layers; None is all, first, last and time embedding included.
    skip:        a ``ms.Threshold`` below which a sample's residual is not computed, for all layers or as a
                 mapping from names and patterns (``*``); layers that no pattern matches skip nothing.
    storage:     a ``ms.Storage``, how states are kept between calls, or a function from a layer's name to one.
    attention:   quantizers of q, k, v and softmax (``nn.attention``); None leaves products in full precision.
    reuse:       branches whose output is used again (``nn.Reuse``).
    engine:      "simulated", the only one: values on the quantization grid in the model's own dtype.
    seed:        of the random bits, for randomised quantizers.

    Raises TypeError for arguments of another type, ValueError for a model without such layers and for names or
    patterns in ``weights``, ``reuse``, ``skip`` and ``ByLayer`` that fit none of its layers, RuntimeError for a model
    that is modulated already; the model is then untouched. Inside: ValueError naming layer and call for NaN or Inf and
    for a batch of another shape, dtype or device without ``run.reset()``; after any exception in the model's forward,
    or in a hook after it, all states and counts are as before that call.
    """
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}; known: {', '.join(ENGINES)}")
    options = Options(activations, weights, recursion, warmup, refresh, where, skip, storage, attention, reuse, seed)
    return Context(lambda undo: Run(model, options).put(undo))
