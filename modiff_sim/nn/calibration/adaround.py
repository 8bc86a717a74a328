"""AdaRound: weights are rounded up or down so that the output of each layer is kept, rather than its weight.

    calibration = lambda m: sample(m, images=64, steps=20, batch=64, seed=1)      # full precision, 20 timesteps
    W = adaround(model, mse_optimal(3), calibration)
    with modulated(model, activations=AbsMax(4), weights=W): ...

Source: Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization", equations (21)-(25), used
layer by layer on diffusion models by Q-Diffusion (Li et al. 2023). The differences to the paper, and their reasons:

- The layer's loss ||A_W(a) - A_Wq(a)||² is evaluated through second moments (``moments``): every iteration sees all
  the calibration rows, no minibatch is drawn, and memory does not grow with their number.
- The inputs of both terms are those of full precision (symmetric reconstruction), so layers do not depend on each
  other.
- The loss of each output channel is divided by that of rounding to nearest, and the regulariser is a mean: one
  ``lam`` then fits all layers and bit widths (the paper's 0.01 is for sums in the units of the activations).
- A channel that is worse than nearest on held-out samples keeps nearest. Output channels do not share weights, so
  this is decided channel by channel.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ...arguments import count, number
from ...quantizers.base import Quantizer
from ..hooks.modes import inference
from ..hooks.modules import check_module
from ..layers import Chosen, find
from ..modulate import active_run
from ..plans.plan import Plan
from ..weights.codes import LayerCodes, spread
from ..weights.quantized import QuantizedWeights, quantize_weights
from .moments import Calibration, Moments, gather, matrix

STRETCH = (-0.1, 1.1)  # gamma, zeta of the rectified sigmoid (Louizos et al. 2018), as in the paper


@dataclass(frozen=True, kw_only=True)
class AdaRound:
    """Settings of the optimisation of one layer.

    Parameters
    ----------
    iterations : int, default 500
        Adam steps on V, each with all calibration rows.
    lr : float, default 0.2
        Adam's learning rate.
    lam : float, default 30
        Weight of the regulariser; if it is too small, many h are still between 0 and 1 at the end.
    beta : tuple of float, default (20, 2)
        Exponent of the regulariser 1 - |2h-1|^beta at its start and at the end, linear in between.
    warm_start : float, default 0.2
        Share of the iterations before the regulariser sets in, below 1.

    Raises
    ------
    TypeError, ValueError
        For a setting that is not such a number.

    Examples
    --------
    >>> from modiff_sim.nn import AdaRound
    >>> settings = AdaRound(iterations=100)
    >>> [settings.regulariser(step) for step in (0, 20, 60)]
    [None, 20.0, 11.0]
    """

    iterations: int = 500
    lr: float = 0.2
    lam: float = 30.0
    beta: tuple[float, float] = (20.0, 2.0)
    warm_start: float = 0.2

    def __post_init__(self) -> None:
        count("iterations", self.iterations, least=0)
        number("lr", self.lr, above=0)
        number("lam", self.lam)
        number("warm_start", self.warm_start, below=1)
        for value in self.beta:
            number("beta", value, least=1)

    def regulariser(self, step: int) -> float | None:
        """The exponent beta at this step; None while the warm start lasts."""
        start = self.warm_start * self.iterations
        if step < start:
            return None
        first, last = self.beta
        return first + (last - first) * (step - start) / max(self.iterations - start, 1)


def rectified_sigmoid(V: Tensor) -> Tensor:
    """h(V) in [0, 1]: clip(sigmoid(V)·(zeta - gamma) + gamma, 0, 1), which reaches 0 and 1 at finite V."""
    low, high = STRETCH
    return torch.clamp(torch.sigmoid(V) * (high - low) + low, 0, 1)


def _logit(h: Tensor) -> Tensor:
    """The V of an h in [0, 1]."""
    low, high = STRETCH
    return torch.log((h - low) / (high - h))


class Rounding:
    """The two codes that each weight may have.

    weight ≈ scale·(clip(floor(w/scale) + h + zero) - zero), h in {0, 1}.

    Raises ValueError where the given codes are neither of the two, because their quantizer rounds otherwise.
    """

    def __init__(self, weight: Tensor, layer: LayerCodes) -> None:
        shape = tuple(weight.shape)
        self.layer = layer
        self.scale = spread(layer.scale, shape)
        self.zero = 0.0 if layer.zero_point is None else spread(layer.zero_point, shape)
        steps = weight / self.scale
        self.floor = torch.floor(steps)
        self.part = steps - self.floor  # the part of a step above the floor
        low, high = layer.code_range
        if layer.zero_point is None:  # most symmetric grids leave out -2^(b-1)
            low = min(-high, int(layer.codes.min()))
        self.range = low, high
        codes = layer.codes.to(weight.dtype)
        if not bool(((codes == self.codes(0.0)) | (codes == self.codes(1.0))).all()):
            raise ValueError(f"{layer.scheme} does not round a weight to one of its two neighbours")

    def codes(self, h: Tensor | float) -> Tensor:
        """Codes as floats; between the two codes where h lies between 0 and 1."""
        return torch.clamp(self.floor + h + self.zero, *self.range)

    def values(self, h: Tensor | float) -> Tensor:
        """The weight at h."""
        return self.scale * (self.codes(h) - self.zero)


def round_layer(weight: Tensor, layer: LayerCodes, moments: Moments, settings: AdaRound | None = None) -> LayerCodes:
    """The layer's codes rounded up or down (same scale) for the least output error on the rows of ``moments``.

    ``layer`` is ``encode(weight, Q)``, on the weight's device. The result is deterministic. It can be called under
    ``no_grad`` and in inference mode.
    """
    # gradients are needed whatever the caller has switched off; inference tensors cannot be in a graph, so copy them
    with inference(False, gradients=True):
        gram = moments.gram.clone()
        exact = weight.detach().to(gram.dtype).clone()
        zero = None if layer.zero_point is None else layer.zero_point.clone()
        options = Rounding(exact, replace(layer, scale=layer.scale.to(gram.dtype).clone(), zero_point=zero))
        up = _optimised(exact, options, gram, settings or AdaRound())
        return replace(layer, codes=options.codes(up).to(layer.codes.dtype), scheme=f"adaround on {layer.scheme}")


def _optimised(exact: Tensor, options: Rounding, gram: Tensor, settings: AdaRound) -> Tensor:
    """The optimal h, 0 or 1 for each weight."""
    groups = len(gram)
    nearest = matrix(options.layer.dequantize() - exact, groups)
    unit = ((nearest @ gram) * nearest).sum(dim=-1, keepdim=True)
    unit = torch.where(unit > 0, unit, torch.ones_like(unit))  # a channel without error has nothing to gain
    V = _logit(options.part).requires_grad_()  # h(V) starts as the part itself: nothing is rounded yet
    adam = torch.optim.Adam([V], lr=settings.lr)
    for step in range(settings.iterations):
        adam.zero_grad()
        h = rectified_sigmoid(V)
        off = matrix(options.values(h) - exact, groups)
        # the loss tr(off·G·offᵀ) is quadratic: its gradient needs one product, and no graph through it
        slope = 2 * (off.detach() @ gram) / unit
        beta = settings.regulariser(step)
        if beta is None:
            torch.autograd.backward([off], [slope])
        else:
            between = (1 - (2 * h - 1).abs() ** beta).sum() * (settings.lam / exact[0].numel())
            torch.autograd.backward([off, between], [slope, torch.ones_like(between)])
        adam.step()
    return (rectified_sigmoid(V.detach()) >= 0.5).to(exact.dtype)


def adaround(
    model: nn.Module,
    start: Quantizer | Plan | Mapping[str, Quantizer] | QuantizedWeights,
    calibration: Calibration | Mapping[str, tuple[Moments, Moments]],
    *,
    where: Chosen = None,
    settings: AdaRound | None = None,
    holdout: float = 0.25,
    patches: int = 1024,
    memory: float = 1024.0,
    seed: int = 0,
    progress: str | None = None,
) -> QuantizedWeights:
    """Weights of the model's Conv1d, Conv2d and Linear layers by AdaRound; the model is only read.

    Parameters
    ----------
    model : torch.nn.Module
        The model, in eval mode.
    start : Quantizer, Plan, mapping of str to Quantizer, or QuantizedWeights
        Grids, scales and the rounding to be improved: what ``quantize_weights`` takes (``mse_optimal(bits)`` is the
        usual choice), or the codes that it made.
    calibration : callable, iterable of tuple, or mapping
        A function of the model that runs it in full precision, such as
        ``lambda m: sample(m, images=64, steps=20, batch=64)``; or the positional arguments of model calls; or by layer
        the two moments that ``gather`` found, for several bit widths from one calibration.
    where : str, callable or sequence of these, optional
        Which layers: names or patterns, or (qualified name, module) -> bool; None is all.
    settings : AdaRound, optional
        Settings of the optimisation.
    holdout : float, default 0.25
        Share of the samples (see ``moments.gather``) on which AdaRound has to beat nearest, 0 < holdout < 1.
    patches : int, default 1024
        Rows of a layer and call that are used at most.
    memory : float, default 1024
        MiB of moments at a time (see ``gather``).
    seed : int, default 0
        Seed of the rows that are drawn.
    progress : str, optional
        Label of a progress bar (a line per layer where stderr is not a terminal); None is silent.

    Returns
    -------
    QuantizedWeights
        ``info`` of each layer has "heldout_error" and "heldout_error_nearest", the mean squared error of the layer's
        output summed over channels, and "channels_nearest", how many of "channels" kept nearest. A layer that the
        calibration never called, or of which nothing could be held out, keeps nearest in all ("rows" or "heldout_rows"
        is 0).

    Raises
    ------
    ValueError
        As ``quantize_weights``; for a model in training mode, and for NaN in a layer's input.
    RuntimeError
        Inside ``modulated``.

    Examples
    --------
    >>> import torch
    >>> from modiff_sim.nn import AdaRound, adaround, mse_optimal
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2)).eval()
    >>> inputs = torch.linspace(-1, 1, 32).reshape(8, 4)
    >>> weights = adaround(model, mse_optimal(3), [(inputs,)], settings=AdaRound(iterations=10))
    >>> info = weights.layers["0"].info
    >>> info["heldout_error"] <= info["heldout_error_nearest"], info["channels"]
    (True, 2)
    """
    number("holdout", holdout, above=0, below=1)
    number("memory", memory, above=0)
    count("patches", patches)
    settings = settings or AdaRound()
    check_module(model)
    if model.training:
        raise ValueError("the model is in training mode (dropout would be active): call model.eval() first")
    if active_run(model) is not None:
        raise RuntimeError("the model is modulated: weights are calibrated in full precision")
    if isinstance(start, QuantizedWeights):
        start.check(model, partial=True)
        nearest = start
    else:
        nearest = quantize_weights(model, start, where=where)
    modules = {name: module for name, module in find(model, where).items() if name in nearest.layers}
    layers = {}
    for name, module in modules.items():  # refused before the calibration, which takes long
        weight: Tensor = module.weight.detach()  # type: ignore[operator]
        layers[name] = _moved(nearest.layers[name], weight.device)
        try:
            Rounding(weight, layers[name])
        except ValueError as error:
            raise ValueError(f"weight of layer '{name}': {error}") from None
    done: dict[str, LayerCodes] = {}
    report = _reporter(progress, len(modules))
    if isinstance(calibration, Mapping):
        if missing := [name for name in modules if name not in calibration]:
            raise ValueError(f"no moments of layer '{missing[0]}' in the calibration")
        found: Iterable[tuple[str, Moments, Moments]] = ((name, *calibration[name]) for name in modules)
    else:
        found = gather(model, calibration, modules, holdout=holdout, patches=patches, memory=memory, seed=seed)
    for name, used, held in found:
        weight = modules[name].weight.detach()  # type: ignore[operator]
        layer = layers[name]
        tried = round_layer(weight, layer, used, settings) if used.rows and held.rows else layer
        done[name] = _chosen(weight, layer, tried, used, held)
        report(name)
    return QuantizedWeights({name: done[name] for name in modules})


def _moved(layer: LayerCodes, device: torch.device) -> LayerCodes:
    zero = None if layer.zero_point is None else layer.zero_point.to(device)
    return replace(layer, codes=layer.codes.to(device), scale=layer.scale.to(device), zero_point=zero)


def _chosen(weight: Tensor, nearest: LayerCodes, tried: LayerCodes, used: Moments, held: Moments) -> LayerCodes:
    """Per output channel, the codes with the smaller error on held-out rows; nearest where the errors are equal."""
    before, after = (held.errors(layer.dequantize().to(weight.dtype) - weight) for layer in (nearest, tried))
    better = after < before
    codes = torch.where(better.reshape((-1,) + (1,) * (weight.ndim - 1)), tried.codes, nearest.codes)
    info = {
        "rows": used.rows, "heldout_rows": held.rows,
        "heldout_error": float(torch.minimum(before, after).sum()), "heldout_error_nearest": float(before.sum()),
        "channels": len(better), "channels_nearest": int((~better).sum()),
    }  # fmt: skip
    return replace(nearest, codes=codes, scheme=tried.scheme if bool(better.any()) else nearest.scheme, info=info)


def _reporter(label: str | None, total: int) -> Callable[[str], object]:
    if label is None:
        return lambda name: None
    from tqdm import tqdm

    done = iter(tqdm(range(total), desc=label, unit="layer", leave=False, disable=not sys.stderr.isatty()))

    def report(name: str) -> None:
        i = next(done)
        if not sys.stderr.isatty():
            print(f"{label}: layer {i + 1} of {total}, {name}", file=sys.stderr, flush=True)
        elif i + 1 == total:
            next(done, None)

    return report
