"""modiff-sim: iterative quantization with and without error compensation, its theory checked by running it.

    >>> import modiff_sim as ms
    >>> Q = ms.AbsMax(bits=4)
    >>> r = ms.simulate(ms.processes.random_walk(d=64), Q, recursion="closed_loop", steps=100, trials=64, seed=0)

``modiff_sim.nn`` (the torch path) is imported on its own and needs the extra ``[nn]``; nothing here imports torch.
Names are loaded when they are first used (PEP 562), so that ``modiff-sim --help`` does not wait for NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import (
        atlas,
        bilinear,
        bounds,
        certificates,
        contraction,
        denoisers,
        growth,
        mixtures,
        prediction,
        processes,
        recommendation,
        recursion,
        regimes,
    )
    from .evidence import Claim, Evidence, Verdict
    from .granularity import GRANULARITIES, Granularity, PerBatch, PerChannel, PerGroup, PerSample, PerToken
    from .laws import LAWS, LawBroken, Laws
    from .quantizer import QParams, Quantizer
    from .quantizers import (
        FP8E4M3,
        FP8E5M2,
        MXFP4E2M1,
        MXFP6E2M3,
        MXFP6E3M2,
        MXFP8E4M3,
        MXFP8E5M2,
        MXINT8,
        QUANTIZERS,
        AbsMax,
        DeadZone,
        Floor,
        GridAligned,
        HalfAway,
        Identity,
        Logarithmic,
        MidRise,
        MinMax,
        MinMaxRaw,
        MSEClip,
        Percentile,
        Split,
        Static,
        StaticAffine,
        Stochastic,
        Zero,
    )
    from .recursion import RECURSIONS, State
    from .simulation import Result, simulate

__version__ = "0.1.0"

__all__ = [
    "FP8E4M3", "FP8E5M2", "GRANULARITIES", "LAWS", "MXFP4E2M1", "MXFP6E2M3", "MXFP6E3M2", "MXFP8E4M3", "MXFP8E5M2",
    "MXINT8", "QUANTIZERS", "RECURSIONS", "AbsMax", "Claim", "DeadZone", "Evidence", "Floor", "Granularity",
    "GridAligned", "HalfAway", "Identity", "LawBroken", "Laws", "Logarithmic", "MSEClip", "MidRise", "MinMax",
    "MinMaxRaw", "PerBatch", "PerChannel", "PerGroup", "PerSample", "PerToken", "Percentile", "QParams", "Quantizer",
    "Result", "Split", "State", "Static", "StaticAffine", "Stochastic", "Verdict", "Zero", "atlas", "bilinear",
    "bounds", "certificates", "contraction", "denoisers", "growth", "mixtures", "prediction", "processes",
    "recommendation", "recursion", "regimes", "simulate",
]  # fmt: skip

#: where the names above live; a name that is not here is a module of its own. No module may be called like a function
#: of this list: importing it would put the module in the function's place.
_HOMES = {
    "evidence": ("Claim", "Evidence", "Verdict"),
    "granularity": ("GRANULARITIES", "Granularity", "PerBatch", "PerChannel", "PerGroup", "PerSample", "PerToken"),
    "laws": ("LAWS", "LawBroken", "Laws"),
    "quantizer": ("QParams", "Quantizer"),
    "quantizers": (
        "FP8E4M3", "FP8E5M2", "MXFP4E2M1", "MXFP6E2M3", "MXFP6E3M2", "MXFP8E4M3", "MXFP8E5M2", "MXINT8", "QUANTIZERS",
        "AbsMax", "DeadZone", "Floor", "GridAligned", "HalfAway", "Identity", "Logarithmic", "MidRise", "MinMax",
        "MinMaxRaw", "MSEClip", "Percentile", "Split", "Static", "StaticAffine", "Stochastic", "Zero",
    ),
    "recursion": ("RECURSIONS", "State"),
    "simulation": ("Result", "simulate"),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return globals().setdefault(name, getattr(import_module(f".{_HOME[name]}", __name__), name))
    if name in __all__:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
