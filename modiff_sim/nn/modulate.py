"""The context ``modulated(model, activations=Q, ...)``, inside which a model's forward is an arm of the paper.

    with modulated(model, activations=ms.AbsMax(4), recursion="closed_loop") as run:
        images = sample(model, images=64, batch=64, steps=50, run=run)
        print(run.audit())

State belongs to the run, never to the model; leaving the context restores the model bit for bit, after an exception
too. The arithmetic is simulated unless ``engine`` says otherwise: values lie on the quantization grid, in the model's
own dtype. No gradients flow.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from torch import nn

from .. import recursion as _recursion
from ..cost import Storages
from ..names import one_of
from ..quantizers.base import Quantizer
from .attention.quantized import Attention
from .hooks.undo import Context
from .layers import Chosen, Weights
from .plans.plan import Plan, chosen
from .plans.reuse import Reuse
from .plans.select import by_name
from .run.options import Options, Skip
from .run.run import Run, active_run
from .weights.quantized import quantize_weights

__all__ = ["ENGINES", "active_run", "modulated"]

ENGINES = ("simulated", "integer", "auto")


def modulated(
    model: nn.Module,
    *,
    activations: Quantizer | Plan | str | Mapping[str, Any],
    weights: Weights | str | Mapping[str, Any] = None,
    recursion: str | _recursion.Recursion = "closed_loop",
    warmup: _recursion.Warmup = "exact",
    refresh: _recursion.Refresh = "never",
    where: Chosen = None,
    skip: Skip = None,
    storage: Storages | None = None,
    attention: Attention | None = None,
    reuse: Reuse | None = None,
    engine: str = "simulated",
    seed: int = 0,
) -> AbstractContextManager[Run]:
    """Run the model's Conv1d, Conv2d and Linear layers as an arm of the paper while the context is open.

    Inside the context, NaN or Inf and a batch of another shape, dtype or device without ``run.reset()`` raise
    ValueError, which names layer and call. A batch of the same shape that goes on with the states of another one is
    warned of where the times of the calls tell (``nn.hooks.batches``). After any exception in the model's forward, or
    in a hook after it, all states and counts are as they were before that call.

    Parameters
    ----------
    model : torch.nn.Module
        The model, with at least one Conv1d, Conv2d or Linear layer that ``where`` keeps.
    activations : Quantizer, Plan, str or mapping
        Quantizer of the layers' inputs ("direct") or residuals (open and closed loop), as an object or as text such as
        "absmax:4"; or a plan that names one per layer and call (``nn.plans``, ``nn.calibrate``); or a mapping from
        layers to any of these, such as ``{"conv_in": "absmax:8", "*": "absmax:4"}``, in which the first match decides
        and layers without one stay in full precision. Its keys are names, patterns, or predicates such as
        ``first_layer(model)``.
    weights : Quantizer, QuantizedWeights, other WeightSource, str or mapping, optional
        Quantizer of the weights, applied once, as an object, as text, or by patterns of layers; or quantized weights
        (``nn.weights``). None leaves the weights in full precision, and so does a mapping for layers without a match.
        ``AbsMax(8)`` takes one scale per output channel (axis 0), and so does the text "absmax:8@channel"; in
        "absmax:4@group:32" groups run along the input channels. Patterns are of layers that ``where`` keeps.
    recursion : str or Recursion, default "closed_loop"
        "direct" (post-training quantization), "open_loop" (no error compensation), "closed_loop" (MoDiff), or a
        ``Recursion`` of your own.
    warmup : "exact", "quantized" or int, default "exact"
        What happens at a layer's first call since the last ``run.reset()``; see ``modiff_sim.recursion``. "direct" has
        no state and treats every call alike, refreshes excepted, so ``warmup`` has no effect on it.
    refresh : "never", int or sequence of int, default "never"
        Later calls of a layer in full precision; see ``modiff_sim.recursion``.
    where : str, callable or sequence of these, optional
        Which layers are quantized: a name or pattern, or (qualified name, module) -> bool. None is all of them, the
        first, the last and those of the time embedding included.
    skip : Threshold or mapping of str to Threshold, optional
        Threshold below which a sample's residual is not computed, for all layers or by name and pattern (``*``). Layers
        that no pattern matches skip nothing. It is refused for "direct".
    storage : Storage or callable, optional
        How states are kept between calls, or a function from a layer's name to a ``Storage``. It is refused for
        "direct".
    attention : Attention, optional
        Quantizers of q, k, v and softmax (``nn.attention``). None leaves products of activations in full precision.
    reuse : Reuse, optional
        Branches whose output is used again (``nn.Reuse``).
    engine : str, default "simulated"
        "simulated": values on the quantization grid, in the model's own dtype. "integer" computes on integer codes, on
        x86 processors with AVX2 (extra [fast]), the layers for which it can: AbsMax of 2 to 8 bits with one scale per
        sample or batch, integer weights of at most 8 bits with one scale per output channel, float32. ``Run.audit``
        says which layers it declined, and why; these are simulated. Given the same state the codes are equal bit for
        bit, and outputs differ by rounding. "auto" is the same, and simulates everything where there is no such layer.
    seed : int, default 0
        Seed of the random bits for randomised quantizers.

    Returns
    -------
    context manager of Run
        Entering it patches the model and yields the ``Run``; leaving it restores the model.

    Raises
    ------
    TypeError
        For arguments of another type.
    ValueError
        For a model without such layers, an unknown engine, engine="integer" where no layer can run on integers, and
        names or patterns in ``weights``, ``reuse``, ``skip`` and ``ByLayer`` that match none of the model's layers.
    RuntimeError
        For a model that is modulated already. In all three cases the model is untouched.

    Examples
    --------
    >>> import torch
    >>> import modiff_sim as ms
    >>> from modiff_sim.nn import modulated
    >>> model, x = torch.nn.Linear(8, 4), torch.ones(2, 8)
    >>> with modulated(model, activations=ms.AbsMax(4), warmup="quantized") as run:
    ...     outputs = [model(x), model(0.9 * x)]
    >>> run.audit().mac_share, run.audit().activation_bits
    (1.0, 4.0)
    """
    one_of("engine", engine, ENGINES)
    weights = by_name(model, weights, "weights")
    source: Any = chosen(weights, weights=True)
    if isinstance(weights, Mapping):
        source = quantize_weights(model, weights, where=where)
    plan, skip = chosen(by_name(model, activations)), by_name(model, skip, "skip")
    options = Options(plan, source, recursion, warmup, refresh, where, skip, storage, attention, reuse, seed, engine)
    return Context(lambda undo: Run(model, options).put(undo))


#: the options of ``modulated``, by name
OPTIONS = tuple(name for name in inspect.signature(modulated).parameters if name != "model")
