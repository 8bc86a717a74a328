"""Claimed exponents of n against fitted ones, with joint intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modiff_sim import Evidence, Quantizer
from modiff_sim.bounds.growth import calls, slope

from .. import _shared
from .._shared import Recursion, Shrink

FIRST = 10
#: a worst case whose transient has decayed to q^FIRST = 1e-10 when the fit begins
WORST = Shrink(contraction=0.01)


@dataclass(frozen=True)
class Case:
    """One run whose error should grow like n^claimed, for differences (n, trials, d).

    The points of the fit are multiples of ``every``.
    """

    name: str
    recursion: Recursion
    Q: Quantizer
    differences: np.ndarray
    claimed: float
    every: int = 1


def exponents(cases: Sequence[Case], *, seed: int) -> Evidence:
    """Fit the exponents from call 10 on, evenly on a logarithmic axis. The intervals hold jointly at 99 %.

    Rounding is 8·eps per call of a number that grows like the error, which is as much of its logarithm.
    """
    random = sum(case.differences.shape[1] > 1 for case in cases)
    fits, atol, texts = [], [], []
    for case in cases:
        n = len(case.differences)
        done = _shared.run(case.recursion, case.differences, case.Q, seed=seed)
        chosen = np.unique(calls(FIRST, n) // case.every * case.every)
        fit = slope(np.log(chosen), done.error[chosen - 1], level=1 - 0.01 / max(random, 1))
        fits.append(fit)
        atol.append(4 * float(np.max(done.slack[chosen - 1] / done.error[chosen - 1].max(axis=1, keepdims=True))))
        width = f" ± {fit.high - fit.slope:.2f}" if fit.high > fit.low else ""
        texts.append(f"{case.name}: {fit.slope:.2f}{width}")
    return Evidence(
        claimed=[case.claimed for case in cases],
        measured=[f.slope for f in fits],
        low=[f.low for f in fits],
        high=[f.high for f in fits],
        cases=[case.name for case in cases],
        atol=atol,
        seed=seed,
        params={"calls": [len(case.differences) for case in cases]},
        note="; ".join(texts),
    )
