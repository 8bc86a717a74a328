"""How much quantized weights differ: signal over quantization noise, in dB, per layer and at the model's output.

    print(sqnr_table(model, weights, inputs=[(x, t)]))

Each bit less costs uniform codes about 6 dB. The SQNR of the output is that of weights alone: activations are exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ...quantizers import Identity, granularity
from ...quantizers.base import Quantizer
from ..hooks.modes import Gradients
from ..hooks.undo import Context
from ..layers import Chosen, Operator, Weights, check_weights, find
from ..modulate import modulated

#: positional arguments of one model call
Inputs = Iterable[tuple[Any, ...]]


def decibel(signal: float, noise: float) -> float:
    """10·log10(signal/noise) of two energies; inf without noise, -inf where all is noise."""
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def energies(exact: Tensor, approximate: Tensor) -> tuple[float, float]:
    """||exact||² and ||exact - approximate||², summed in float64."""
    wide = exact.detach().double()
    return float((wide * wide).sum()), float(((wide - approximate.detach().double()) ** 2).sum())


@dataclass(frozen=True)
class SQNRTable:
    """Rows per layer (dicts) and totals; ``str()`` is a table.

    Attributes
    ----------
    layers : tuple of dict
        One row per layer; see ``rows``.
    weight_db : float
        SQNR of all weights together, in dB.
    output_db : float or None
        SQNR of the model's output, in dB; None where no inputs were given.
    """

    layers: tuple[dict[str, Any], ...]
    weight_db: float  # all weights together
    output_db: float | None = None

    def rows(self) -> list[dict[str, Any]]:
        """One dict per layer: layer, kind, weights (how many), bits, granularity (as text), scheme, sqnr_db."""
        return [dict(row) for row in self.layers]

    def __str__(self) -> str:
        name, shared = (max(len(k), *(len(r[k]) for r in self.layers)) for k in ("layer", "granularity"))
        lines = [f"{'layer':<{name}}  kind    {'weights':>9}  bits  {'granularity':<{shared}}  SQNR/dB"]
        for r in self.layers:
            start = f"{r['layer']:<{name}}  {r['kind']:<6}  {r['weights']:>9}  {r['bits']:>4}  "
            lines.append(f"{start}{r['granularity']:<{shared}}  {r['sqnr_db']:>7.2f}")
        lines.append(f"all weights: {self.weight_db:.2f} dB")
        if self.output_db is not None:
            lines.append(f"the model's output, weights alone: {self.output_db:.2f} dB")
        return "\n".join(lines)


def _operators(model: nn.Module, weights: Weights, where: Chosen) -> dict[str, Operator]:
    check_weights(weights)
    chosen = find(model, where)
    if not chosen:
        raise ValueError(f"{type(model).__name__}: no Conv1d, Conv2d or Linear layer (after where=)")
    return {name: Operator(name, module, weights) for name, module in chosen.items()}


def sqnr_table(model: nn.Module, weights: Weights, inputs: Inputs | None = None, *, where: Chosen = None) -> SQNRTable:
    """SQNR of the weights of every supported layer that ``where`` keeps: 10·log10(||W||²/||W - W_q||²).

    Parameters
    ----------
    model : torch.nn.Module
        The model; it is only read.
    weights : Quantizer, QuantizedWeights or other WeightSource
        Layers that it leaves alone have 32 bits and inf dB.
    inputs : iterable of tuple, optional
        Positional arguments of model calls, for ``output_db`` (see ``output_sqnr``).
    where : str, callable or sequence of these, optional
        Which layers: names or patterns, or (qualified name, module) -> bool; None is all.

    Returns
    -------
    SQNRTable
        Rows per layer and totals, in dB; ``str()`` is a table.

    Raises
    ------
    ValueError
        For a model without such layers, and for inputs whose outputs have no signal.
    RuntimeError
        With ``inputs``, for a model that is modulated already.

    Examples
    --------
    >>> import torch
    >>> import modiff_sim as ms
    >>> from modiff_sim.nn import sqnr_table
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 1, bias=False))
    >>> model[0].weight.data[:] = torch.tensor([[1.0, 0.9]])
    >>> table = sqnr_table(model, ms.AbsMax(4), inputs=[(torch.ones(1, 2),)])
    >>> round(table.weight_db, 1), round(table.output_db, 1)
    (29.9, 32.9)
    """
    operators = _operators(model, weights, where)
    found = None if inputs is None else output_sqnr(model, weights, inputs, where=where)
    rows, signal, noise = [], 0.0, 0.0
    for name, operator in operators.items():  # after the calls, so that weights that are made anew are those of a call
        own: Tensor = operator.module.weight  # type: ignore[assignment]
        s, n = energies(own, operator.weight)
        signal, noise = signal + s, noise + n
        layer = getattr(weights, "layers", {}).get(name)
        shared = "" if operator.quantized is None else getattr(layer, "granularity", "")
        scheme = "" if operator.quantized is None else getattr(layer, "scheme", "")
        if isinstance(weights, Quantizer):
            shared, scheme = granularity.name(weights.granularity), str(weights)
        rows.append({
            "layer": name, "kind": operator.kind, "weights": own.numel(), "bits": operator.weight_bits,
            "granularity": shared, "scheme": scheme, "sqnr_db": decibel(s, n),
        })  # fmt: skip
    return SQNRTable(tuple(rows), decibel(signal, noise), found)


def output_sqnr(model: nn.Module, weights: Weights, inputs: Inputs, *, where: Chosen = None) -> float:
    """SQNR in dB of the model's output (a tensor, or its ``.sample``) over all calls, with quantized weights alone.

    Raises ValueError for no inputs, and RuntimeError for a model that is modulated already.
    """
    signal = noise = 0.0
    for exact, approximate in outputs(model, weights, inputs, where=where):
        s, n = energies(exact, approximate)
        signal, noise = signal + s, noise + n
    if signal == noise == 0:
        raise ValueError("no inputs, or outputs of nothing but zeros: there is no signal to compare with")
    return decibel(signal, noise)


def outputs(
    model: nn.Module, weights: Weights, inputs: Inputs, *, where: Chosen = None
) -> Iterable[tuple[Tensor, Tensor]]:
    """Yield the model's output in full precision and with quantized weights, per call; the model itself is only read.

    The quantized outputs are those of ``modulated`` with exact activations. They are all computed first, and kept.
    Raises RuntimeError for a model that is modulated already.
    """
    calls = list(inputs)
    for arguments in calls:
        if not isinstance(arguments, tuple):
            raise TypeError(f"inputs are tuples of positional arguments, (x, t), got {type(arguments).__name__}")

    def output(arguments: tuple[Any, ...]) -> Tensor:
        with Context(lambda undo: undo.put(Gradients(False))):
            out = model(*arguments)
        found: Tensor = getattr(out, "sample", out)
        return found

    with modulated(model, activations=Identity(), recursion="direct", weights=weights, where=where):
        quantized = [output(arguments) for arguments in calls]
    for arguments, approximate in zip(calls, quantized, strict=True):
        yield output(arguments), approximate
