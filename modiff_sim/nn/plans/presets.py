"""The regimes of the official code and of the paper's text, as options of ``modulated``.

    with modulated(model, **presets.official_sept_2025(4)) as run: ...
    presets.PRESETS["paper"](4, act_tensor=True).why

What they share is how the official code quantizes activations: dynamic, every convolution and linear layer at the same
width (first, last and time embedding included), one scale for the whole batch or, with ``act_tensor=True`` (its
``--act_tensor``), one per sample. What they differ in is when the cache is made anew.

symmetric:   s = max(max|x|/qmax, 1e-8), qmax = 2^(b-1)-1, codes clamped to [-(qmax+1), qmax]. Here: ``AbsMax``. A
             dynamic scale never reaches the clamp. The scale's floor is not kept: it matters only in blocks with
             max|x| < 1e-8·qmax (7e-8 at 4 bits), where the two differ by at most 1e-8 per entry; above it they are
             equal bit for bit.
affine:      s = max((max-min)/(2^b-1), 1e-8), z = round(-min/s), the range not made to include zero: ``MinMaxRaw``.
weights:     per output channel, nearest, symmetric. The official ones are learned roundings (Q-Diffusion's), which come
             as checkpoints: pass these as ``weights=`` of ``modulated`` (see ``nn.weights``).

Which regime made the paper's tables is not known; see the paper's Table 1 against each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ...quantizers import AbsMax, MinMaxRaw
from ...quantizers.base import Quantizer
from ...quantizers.granularity import Granularity, PerBatch, PerChannel, PerSample
from ...recursion import Refresh, Warmup

#: the calls, of 100 ``quad`` steps on CIFAR-10, that the code of February 2025 did in full precision
FEB_2025_CALLS = (0, 7, 47, 52, 56, 59, 83, 96, 97, 98, 99)
FEB_2025_STEPS = 100


@dataclass(frozen=True)
class Preset:
    """A named set of options: ``modulated(model, **preset)``. ``why`` says where it comes from and what it does."""

    name: str
    why: str
    options: dict[str, Any] = field(hash=False)

    def keys(self) -> Iterator[str]:
        return iter(self.options)

    def __getitem__(self, option: str) -> Any:
        return self.options[option]

    def __str__(self) -> str:
        return f"{self.name}: " + ", ".join(f"{k}={v}" for k, v in self.options.items())


def activation_quantizer(
    bits: int, *, symmetric: bool = True, act_tensor: bool = False, granularity: Granularity | None = None
) -> Quantizer:
    """The official code's dynamic quantizer of activations; ``granularity`` goes before ``act_tensor``."""
    shared = granularity or (PerSample() if act_tensor else PerBatch())
    return AbsMax(bits, granularity=shared) if symmetric else MinMaxRaw(bits, granularity=shared)


def _preset(
    name: str,
    why: str,
    bits: int,
    warmup: Warmup,
    refresh: Refresh,
    *,
    granularity: Granularity | None = None,
    act_tensor: bool = False,
    symmetric: bool = True,
    weight_bits: int | None = 8,
) -> Preset:
    options = {
        "activations": activation_quantizer(
            bits, symmetric=symmetric, act_tensor=act_tensor, granularity=granularity
        ),
        "weights": None if weight_bits is None else AbsMax(weight_bits, granularity=PerChannel(0)),
        "recursion": "closed_loop", "warmup": warmup, "refresh": refresh,
    }  # fmt: skip
    return Preset(name, why, options)


def official_feb_2025(bits: int, **how: Any) -> Preset:
    """February 2025: a new cache, in full precision, at 11 of 100 quad steps (``FEB_2025_CALLS``); 89 are quantized.

    The indices belong to 100 steps; with fewer, those that are reached are taken (of 50 steps: 0, 7 and 47).
    bits and ``how``: see ``official_sept_2025``.
    """
    why = "official code, February 2025, CIFAR-10: full precision at calls 0, 7, 47, 52, 56, 59, 83, 96-99 of 100"
    return _preset("official_feb_2025", why, bits, "exact", FEB_2025_CALLS, **how)


def official_june_2025(bits: int, **how: Any) -> Preset:
    """June 2025, the public release: the cache is reset at every step, so that no activation is ever quantized.

    Whatever ``bits`` says, the audit shows 0 % of MACs on quantized activations, and the images are those of quantized
    weights alone. bits and ``how``: see ``official_sept_2025``.
    """
    why = "official code, public release of June 2025: cache reset at every step, activations never quantized"
    return _preset("official_june_2025", why, bits, "exact", 1, **how)


def official_sept_2025(bits: int, **how: Any) -> Preset:
    """September 2025: the cache is reset once per batch; the first step in full precision, all others quantized.

    bits: of activations' residuals. ``how``, all by keyword:
    act_tensor:  one scale per sample instead of one for the whole batch;
    granularity: any other, instead;
    symmetric:   True ``AbsMax``, False ``MinMaxRaw``;
    weight_bits: per output channel, or None for weights in full precision (8).
    Raises TypeError or ValueError for bits that the quantizer does not take, TypeError for other keywords.
    """
    why = "official code since September 2025: cache reset once per batch, first step in full precision"
    return _preset("official_sept_2025", why, bits, "exact", "never", **how)


def paper(bits: int, **how: Any) -> Preset:
    """As the paper's text has it: (8)-(9), â_T = Q(a_T), the first step quantized too, and never a refresh.

    Theorem 4.4 and the code start in full precision instead (``official_sept_2025``). The paper does not say at which
    granularity; the default here is the code's. bits and ``how``: see ``official_sept_2025``.
    """
    why = "the paper's (8)-(9) and (13)-(14) as printed: the first input is quantized, no refresh"
    return _preset("paper", why, bits, "quantized", "never", **how)


#: name -> preset of so many bits
PRESETS: dict[str, Callable[..., Preset]] = {
    f.__name__: f for f in (official_feb_2025, official_june_2025, official_sept_2025, paper)
}
