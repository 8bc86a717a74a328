"""modiff-sim: iterative quantization with and without error compensation, its theory checked by running it.

    >>> import modiff_sim as ms
    >>> Q = ms.AbsMax(bits=4)
    >>> r = ms.simulate(ms.processes.random_walk(d=64), Q, recursion="closed_loop", steps=100, trials=64, seed=0)

``modiff_sim.nn`` (the torch path) is imported on its own and needs the extra ``[nn]``; nothing here imports torch.
"""

from . import bounds, contraction, processes, recursion
from .evidence import Claim, Evidence, Verdict
from .granularity import GRANULARITIES, Granularity, PerBatch, PerChannel, PerGroup, PerSample, PerToken
from .laws import LAWS, LawBroken, Laws
from .quantizer import QParams, Quantizer
from .quantizers import QUANTIZERS, AbsMax, Floor, Identity, MinMax, MinMaxRaw, Static, Stochastic, Zero
from .recursion import RECURSIONS, State
from .simulate import Result, simulate

__version__ = "0.1.0"

__all__ = [
    "GRANULARITIES", "LAWS", "QUANTIZERS", "RECURSIONS",
    "AbsMax", "Claim", "Evidence", "Floor", "Granularity", "Identity", "LawBroken", "Laws", "MinMax", "MinMaxRaw",
    "PerBatch", "PerChannel", "PerGroup", "PerSample", "PerToken", "QParams", "Quantizer", "Result", "State", "Static",
    "Stochastic", "Verdict", "Zero", "bounds", "contraction", "processes", "recursion", "simulate",
]  # fmt: skip
