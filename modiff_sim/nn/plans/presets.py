"""The regimes of the official code and of the paper's text, as options of ``modulated``.

    with modulated(model, **presets.official_sept_2025(4)) as run: ...
    presets.PRESETS["paper"](4, act_tensor=True).why

All of them quantize activations as the official code does: dynamic scales; every convolution and linear layer at the
same width, the first, the last and those of the time embedding included; one scale for the whole batch or, with
``act_tensor=True`` (its ``--act_tensor``), one per sample. They differ in when the cache is made anew.

symmetric:   s = max(max|x|/qmax, 1e-8), qmax = 2^(b-1)-1, codes clamped to [-(qmax+1), qmax]. Here: ``AbsMax``. A
             dynamic scale never reaches the clamp. The floor of the scale is left out: it matters only in blocks with
             max|x| < 1e-8·qmax (7e-8 at 4 bits), where the two differ by at most 1e-8 per entry. Above that they are
             bitwise equal.
affine:      s = max((max-min)/(2^b-1), 1e-8), z = round(-min/s), the range not made to include zero: ``MinMaxRaw``.
weights:     per output channel, nearest, symmetric. The official ones are learned roundings (Q-Diffusion's), which come
             as checkpoints: pass those as ``weights=`` of ``modulated`` (see ``nn.weights``).

Which regime produced the paper's tables is not known; see the paper's Table 1 against each.

Examples
--------
>>> from modiff_sim.nn import presets
>>> list(presets.PRESETS)
['official_feb_2025', 'official_june_2025', 'official_sept_2025', 'paper']
>>> dict(presets.paper(4))["warmup"]
'quantized'
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ...quantizers import AbsMax, MinMaxRaw
from ...quantizers.base import Quantizer
from ...quantizers.granularity import Granularity, PerBatch, PerChannel, PerSample
from ...recursion import Refresh, Warmup

#: the calls, of 100 ``quad`` steps on CIFAR-10, that the code of February 2025 computed in full precision
FEB_2025_CALLS = (0, 7, 47, 52, 56, 59, 83, 96, 97, 98, 99)
FEB_2025_STEPS = 100


@dataclass(frozen=True)
class Preset:
    """A named set of options for ``modulated(model, **preset)``.

    Parameters
    ----------
    name : str
        Name in ``PRESETS``.
    why : str
        Where the preset comes from and what it does.
    options : dict
        Arguments of ``modulated``.
    """

    name: str
    why: str
    options: dict[str, Any] = field(hash=False)

    def keys(self) -> Iterator[str]:
        """The names of the options, which makes a preset a mapping for ``**``."""
        return iter(self.options)

    def __getitem__(self, option: str) -> Any:
        return self.options[option]

    def __str__(self) -> str:
        return f"{self.name}: " + ", ".join(f"{k}={v}" for k, v in self.options.items())


def activation_quantizer(
    bits: int, *, symmetric: bool = True, act_tensor: bool = False, granularity: Granularity | None = None
) -> Quantizer:
    """The official code's dynamic quantizer of activations.

    Parameters
    ----------
    bits : int
        Bits of the codes.
    symmetric : bool, default True
        True is ``AbsMax``, False is ``MinMaxRaw``.
    act_tensor : bool, default False
        One scale per sample instead of one for the whole batch.
    granularity : Granularity, optional
        Any other granularity; it takes precedence over ``act_tensor``.
    """
    shared = granularity or (PerSample() if act_tensor else PerBatch())
    return AbsMax(bits, granularity=shared) if symmetric else MinMaxRaw(bits, granularity=shared)


def _preset(
    name: str, why: str, bits: int, warmup: Warmup, refresh: Refresh, *, weight_bits: int | None = 8, **how: Any
) -> Preset:
    options = {
        "activations": activation_quantizer(bits, **how),
        "weights": None if weight_bits is None else AbsMax(weight_bits, granularity=PerChannel(0)),
        "recursion": "closed_loop", "warmup": warmup, "refresh": refresh,
    }  # fmt: skip
    return Preset(name, why, options)


def official_feb_2025(bits: int, **how: Any) -> Preset:
    """February 2025: a new cache, in full precision, at 11 of 100 quad steps (``FEB_2025_CALLS``); 89 are quantized.

    The indices belong to 100 steps; with fewer steps, those that are reached are taken (of 50 steps: 0, 7 and 47).

    Parameters
    ----------
    bits : int
        Bits of the residuals' codes.
    **how
        See ``official_sept_2025``.
    """
    why = "official code, February 2025, CIFAR-10: full precision at calls 0, 7, 47, 52, 56, 59, 83, 96-99 of 100"
    return _preset("official_feb_2025", why, bits, "exact", FEB_2025_CALLS, **how)


def official_june_2025(bits: int, **how: Any) -> Preset:
    """June 2025, the public release: the cache is reset at every step, so that no activation is ever quantized.

    Whatever ``bits`` is, the audit shows 0 % of MACs on quantized activations, and the images are those of quantized
    weights alone.

    Parameters
    ----------
    bits : int
        Bits of the residuals' codes.
    **how
        See ``official_sept_2025``.
    """
    why = "official code, public release of June 2025: cache reset at every step, activations never quantized"
    return _preset("official_june_2025", why, bits, "exact", 1, **how)


def official_sept_2025(bits: int, **how: Any) -> Preset:
    """September 2025: the cache is reset once per batch; the first step is in full precision, all others are quantized.

    Parameters
    ----------
    bits : int
        Bits of the residuals' codes.
    **how
        By keyword: ``act_tensor`` (True is one scale per sample instead of one for the whole batch), ``granularity``
        (any other granularity), ``symmetric`` (True is ``AbsMax``, False is ``MinMaxRaw``), and ``weight_bits`` (per
        output channel, default 8; None leaves the weights in full precision).

    Returns
    -------
    Preset
        Options of ``modulated``.

    Raises
    ------
    TypeError
        For other keywords, and for bits of a type that the quantizer does not take.
    ValueError
        For a number of bits that the quantizer does not take.
    """
    why = "official code since September 2025: cache reset once per batch, first step in full precision"
    return _preset("official_sept_2025", why, bits, "exact", "never", **how)


def paper(bits: int, **how: Any) -> Preset:
    """The paper's text: (8)-(9) with â_T = Q(a_T), the first step quantized too, and never a refresh.

    Theorem 4.4 and the official code start in full precision instead (``official_sept_2025``). The paper does not state
    the granularity; the default here is that of the code.

    Parameters
    ----------
    bits : int
        Bits of the residuals' codes.
    **how
        See ``official_sept_2025``.
    """
    why = "the paper's (8)-(9) and (13)-(14) as printed: the first input is quantized, no refresh"
    return _preset("paper", why, bits, "quantized", "never", **how)


#: name -> function that makes the preset from the number of bits
PRESETS: dict[str, Callable[..., Preset]] = {
    f.__name__: f for f in (official_feb_2025, official_june_2025, official_sept_2025, paper)
}
