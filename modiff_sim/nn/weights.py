"""Weights as integer codes and scales: what ``modulated(weights=...)`` takes beside a quantizer.

    W = quantize_weights(model, mse_optimal(4))                                  # one scheme for every layer
    W = quantize_weights(model, {"conv_in": AbsMax(8, granularity=PerChannel(0)), "mid_block.*": mse_optimal(4)})
    W = adaround(model, mse_optimal(3), calibration)                             # modiff_sim.nn.adaround
    W.save("w4.safetensors");  W = QuantizedWeights.load("w4.safetensors")       # modiff_sim.nn.weight_files
    with modulated(model, activations=AbsMax(4), weights=W): ...

Granularities of a weight (out, in, kh, kw): ``PerChannel(0)`` is one scale per output channel; ``PerGroup(32, axis=1)``
one per run of 32 input channels at every output channel and kernel position (for a Linear weight (out, in) that is one
per 32 inputs); ``PerBatch()`` one for the tensor. Formats whose codes are no integers (FP8, MX, logarithmic) have no
codes here: give their quantizer to ``modulated`` itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from array_api_compat import array_namespace
from torch import Tensor, nn

from ..granularity import Granularity, PerChannel
from ..quantizer import Quantizer, not_finite
from ..quantizers import Identity, MSEClip
from .layers import Where, find
from .plan import ByLayer, Plan, as_plan

MIN_BITS, MAX_BITS = 2, 8
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class LayerCodes:
    """The codes of one layer: weight = scale·(code - zero point), computed in the scale's dtype.

    codes:      integers of the weight's shape; kept as int8 (two's complement, -2^(b-1) ... 2^(b-1)-1) or, as affine
                grids have them, as uint8 (0 ... 2^b-1). Wider integer tensors are narrowed.
    scale:      floating, finite, > 0, as many axes as the weight; on each axis it has n scales that divide the weight's
                size N, and N/n neighbours share one: (out, 1, 1, 1) is per channel, (out, in/32, kh, kw) groups of 32.
                A 0-d scale is taken as per tensor, a 1-d one as per output channel.
    zero_point: None, or integers of the scale's shape.
    bits:       2 ... 8.
    scheme:     how the codes came about, for tables.
    info:       numbers about it (JSON values), kept in the file.

    Raises TypeError or ValueError for what does not fit together.
    """

    codes: Tensor
    scale: Tensor
    zero_point: Tensor | None
    bits: int
    scheme: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.bits, bool) or not isinstance(self.bits, int) or not MIN_BITS <= self.bits <= MAX_BITS:
            raise ValueError(f"weights have {MIN_BITS} to {MAX_BITS} bits as integer codes, got bits={self.bits!r}")
        object.__setattr__(self, "codes", _narrowed(self.codes, self.bits))
        shape = tuple(self.codes.shape)
        object.__setattr__(self, "scale", scale := _full_scale(self.scale, shape, "scale"))
        if not scale.is_floating_point():
            raise TypeError(f"the scale must be a floating tensor, got {scale.dtype}")
        if not bool((torch.isfinite(scale) & (scale > 0)).all()):
            raise ValueError("the scale must be finite and > 0 everywhere; it holds NaN, Inf, zeros or negative values")
        if self.zero_point is not None:
            zero = _full_scale(self.zero_point, shape, "zero_point").to(scale.dtype)
            if zero.shape != scale.shape:
                raise ValueError(f"zero_point has shape {tuple(zero.shape)}, the scale {tuple(scale.shape)}")
            if not bool((torch.isfinite(zero) & (zero == torch.round(zero))).all()):
                raise ValueError("zero_point must hold finite integers")
            object.__setattr__(self, "zero_point", zero)

    def dequantize(self) -> Tensor:
        """The weight, in the scale's dtype."""
        codes, shape = self.codes.to(self.scale.dtype), tuple(self.codes.shape)
        if self.zero_point is not None:
            codes = codes - spread(self.zero_point, shape)
        return spread(self.scale, shape) * codes

    @property
    def code_range(self) -> tuple[int, int]:
        """Lowest and highest code of this width, in the container's signedness."""
        return _range(self.codes.dtype, self.bits)

    @property
    def granularity(self) -> str:
        """ "per tensor", "per channel", or "groups of 1×32×1×1": how many neighbours share a scale, along each axis."""
        shape, counts = self.codes.shape, self.scale.shape
        if counts[0] == shape[0] and math.prod(counts) == shape[0]:
            return "per channel"
        if math.prod(counts) == 1:
            return "per tensor"
        return "groups of " + "×".join(str(n // k) for n, k in zip(shape, counts, strict=True))

    @property
    def stored_bits(self) -> int:
        """Size in bits: codes packed at ``bits`` each, scales at their dtype's width, zero points at ``bits`` each."""
        scales = self.scale.numel() * self.scale.element_size() * 8
        return (
            self.codes.numel() * self.bits + scales + (0 if self.zero_point is None else self.bits * self.scale.numel())
        )


def _range(dtype: torch.dtype, bits: int) -> tuple[int, int]:
    return (0, 2**bits - 1) if dtype == torch.uint8 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _narrowed(codes: Tensor, bits: int) -> Tensor:
    """Codes as int8 or uint8, their range checked."""
    if not isinstance(codes, Tensor) or codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool:
        raise TypeError(f"codes must be an integer tensor, got {getattr(codes, 'dtype', type(codes).__name__)}")
    if codes.ndim < 2 or not codes.numel():
        raise ValueError(f"codes must have the shape of a weight (out, in, ...), got {tuple(codes.shape)}")
    low, high = int(codes.min()), int(codes.max())
    kinds = (codes.dtype,) if codes.dtype in (torch.int8, torch.uint8) else (torch.int8, torch.uint8)
    for kind in kinds:
        least, most = _range(kind, bits)
        if least <= low and high <= most:
            return codes.to(kind)
    allowed = " or ".join("{} ... {}".format(*_range(kind, bits)) for kind in kinds)
    raise ValueError(f"codes span {low} ... {high}, {bits} bits as {codes.dtype} hold {allowed}")


def _full_scale(scale: Tensor, shape: Shape, what: str) -> Tensor:
    """The scale with as many axes as the weight."""
    if not isinstance(scale, Tensor):
        raise TypeError(f"{what} must be a tensor, got {type(scale).__name__}")
    full = scale.reshape((-1,) + (1,) * (len(shape) - 1)) if scale.ndim < 2 else scale
    if full.ndim != len(shape) or any(k == 0 or n % k for n, k in zip(shape, full.shape, strict=True)):
        raise ValueError(
            f"{what} of shape {tuple(scale.shape)} does not fit a weight of shape {shape}: it must have as many axes, "
            "and its size on each must divide the weight's ((out, 1, ...) per channel, (out, in/32, ...) groups of 32)"
        )
    return full


def spread(scale: Tensor, shape: Shape) -> Tensor:
    """The scale, or zero point, repeated so that it broadcasts against a weight of this shape."""
    for axis, (n, k) in enumerate(zip(shape, scale.shape, strict=True)):
        if 1 < k < n:
            scale = scale.repeat_interleave(n // k, dim=axis)
    return scale


@dataclass(frozen=True, eq=False)
class QuantizedWeights:
    """Codes by qualified layer name; a weight source for ``modulated(weights=...)``. ``str()`` is a summary.

    Layers that are not named stay in full precision.
    """

    layers: Mapping[str, LayerCodes]

    def weight(self, name: str, module: nn.Module) -> Tensor | None:
        """The dequantized weight, shape, dtype and device of ``module.weight``; None for a layer without codes.

        Computed in the scale's dtype, then rounded to the module's. Raises ValueError where the shapes differ.
        """
        layer = self.layers.get(name)
        if layer is None:
            return None
        own: Tensor = module.weight  # type: ignore[assignment]
        if own.shape != layer.codes.shape:
            raise ValueError(f"the codes have shape {tuple(layer.codes.shape)}, the layer {tuple(own.shape)}")
        return layer.dequantize().to(own.device, own.dtype)

    def bits(self, name: str) -> int:
        """Bits of the layer's codes, 32 for a layer without."""
        return self.layers[name].bits if name in self.layers else 32

    def check(self, model: nn.Module, *, where: Where | None = None, partial: bool = False) -> None:
        """Raise ValueError unless these are weights of this model.

        Every layer named here must be a Conv1d, Conv2d or Linear of the model with a weight of that shape, and every
        such layer that ``where`` keeps must be named here, unless ``partial``.
        """
        known = find(model, None)
        if unknown := [name for name in self.layers if name not in known]:
            raise ValueError(f"{type(model).__name__} has no layer {_some(unknown)}; its layers: {_some(known)}")
        for name, layer in self.layers.items():
            if (shape := tuple(known[name].weight.shape)) != tuple(layer.codes.shape):  # type: ignore[arg-type]
                raise ValueError(f"layer '{name}': the codes have shape {tuple(layer.codes.shape)}, the layer {shape}")
        missing = [] if partial else [name for name in find(model, where) if name not in self.layers]
        if missing:
            raise ValueError(
                f"no codes for layer {_some(missing)}: they would stay in full precision; say so with partial=True, or "
                "leave them out with where="
            )

    @property
    def stored_bytes(self) -> int:
        """Size if codes were packed at their bits: codes, scales and zero points."""
        return sum(-(-layer.stored_bits // 8) for layer in self.layers.values())

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, atomically; see ``modiff_sim.nn.weight_files``."""
        from .weight_files import save

        save(self, path)

    @staticmethod
    def load(path: str | Path, *, bits: int | Mapping[str, int] | None = None) -> QuantizedWeights:
        """Read such a file, or one made by others; see ``modiff_sim.nn.weight_files.load``."""
        from .weight_files import load

        return load(path, bits=bits)

    def __str__(self) -> str:
        widths = sorted({layer.bits for layer in self.layers.values()})
        entries = sum(layer.codes.numel() for layer in self.layers.values())
        return (
            f"quantized weights: {len(self.layers)} layers, {entries} weights at {', '.join(map(str, widths))} bits, "
            f"{self.stored_bytes} bytes packed"
        )


def _some(names: Any, most: int = 6) -> str:
    names = list(names)
    return ", ".join(f"'{n}'" for n in names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")


def mse_optimal(bits: int, granularity: Granularity | None = None) -> MSEClip:
    """The symmetric grid whose scale has the least squared weight error per block; default one per output channel.

    The scale is searched among the ratios k/n of absmax's, n = max(128, 8·2^bits). On the layers of the digits model
    a grid twice as fine lowers the error of no layer by more than 0.06 %; with n = 16 it is up to 8 % above (8 bits).
    """
    return MSEClip(bits, granularity=granularity or PerChannel(0), candidates=max(128, 8 * 2**bits))


def quantize_weights(
    model: nn.Module, quantizer: Quantizer | Plan | Mapping[str, Quantizer], *, where: Where | None = None
) -> QuantizedWeights:
    """Codes of the model's Conv1d, Conv2d and Linear weights, each rounded by its quantizer; the model is only read.

    quantizer: one for all, or by layer: a mapping from qualified names or patterns ("mid_block.*", the first that
               matches wins) to quantizers, layers that nothing matches and those given ``Identity()`` stay in full
               precision; or a plan (asked for call 0). Deterministic, integer codes, 2 to 8 bits. Dequantized weights
               equal quantizer(weight) (a -0 becomes 0).
    where:     (qualified name, module) -> bool, which layers; None is all.

    Raises ValueError for no layers, a name that matches none, or a layer (named) that the quantizer cannot take.
    """
    chosen = find(model, where)
    if not chosen:
        raise ValueError(f"{type(model).__name__}: no Conv1d, Conv2d or Linear layer to quantize (after where=)")
    if isinstance(quantizer, Mapping):
        for key in quantizer:
            hit, other = Identity(), Identity()
            if all(ByLayer({key: hit}, other).quantizer(name, 0) is other for name in chosen):
                raise ValueError(f"weights for '{key}', which is none of the layers: {_some(chosen)}")
        plan: Plan = ByLayer(quantizer, Identity())
    else:
        plan = as_plan(quantizer, "weights")
    layers = {}
    for name, module in chosen.items():
        Q = plan.quantizer(name, 0)
        if isinstance(Q, Identity):
            continue
        try:
            layers[name] = encode(module.weight.detach(), Q)  # type: ignore[operator]
        except (TypeError, ValueError) as error:
            raise type(error)(f"weight of layer '{name}': {error}") from None
    return QuantizedWeights(layers)


def encode(weight: Tensor, quantizer: Quantizer) -> LayerCodes:
    """The codes of one weight. Raises ValueError or TypeError for a quantizer without integer codes of 2 to 8 bits."""
    if quantizer.laws.randomised:
        raise ValueError(f"weights are quantized once, without random bits: {quantizer} does not fit")
    if not (quantizer.integer_codes and quantizer.has_codes):
        raise ValueError(f"{quantizer} has no integer codes: give it to modulated(weights=...) as it is")
    if not MIN_BITS <= quantizer.bits <= MAX_BITS:
        raise ValueError(f"weights have {MIN_BITS} to {MAX_BITS} bits as integer codes, got {quantizer}")
    quantizer.check(weight)
    xp, shape = array_namespace(weight), tuple(weight.shape)
    blocks, _ = quantizer.blocks(xp, weight)
    qparams = quantizer.choose_qparams(weight)
    if not bool(torch.isfinite(quantizer.probe(weight, qparams)).all()):
        raise ValueError(not_finite(xp, weight, str(quantizer)))
    codes = quantizer.quantize(blocks, qparams)
    counts = _counts(tuple(blocks.shape), tuple(qparams.scale.shape), shape)
    zero = None if qparams.zero_point is None else qparams.zero_point.reshape(counts)
    kind = torch.int8 if zero is None else torch.uint8
    made = LayerCodes(
        codes.reshape(shape).to(kind), qparams.scale.reshape(counts), zero, quantizer.bits, str(quantizer)
    )
    if not torch.equal(made.dequantize(), quantizer.dequantize(codes, qparams).reshape(shape)):
        raise ValueError(f"{quantizer}: its scales are not shared by runs of neighbours, or its codes are no integers")
    return made


def _counts(blocks: Shape, scales: Shape, shape: Shape) -> Shape:
    """How many scales each axis of the weight has: blocking cuts an axis into several that follow each other."""
    counts, at = [], 0
    for n in shape:
        size, count, at = blocks[at], scales[at], at + 1
        while size < n:
            size, count, at = size * blocks[at], count * scales[at], at + 1
        counts.append(count)
    return tuple(counts)
