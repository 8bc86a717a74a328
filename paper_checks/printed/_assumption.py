"""What the claims on assumption (29) share: c of the quantizer that the paper defines, and the condition on it.

The main text prints 0 < c < 1, the appendix 0 < c < 1/2. That c is small enough is a condition of Theorem 4.4: where it
does not hold the theorem says nothing, which is not that a statement of the paper is false.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modiff_sim import Evidence, MinMax, contraction
from modiff_sim.evidence import Premise

MAIN_TEXT, APPENDIX = 1.0, 0.5
BITS = 3
DRAWS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "Laplace": lambda rng, shape: rng.laplace(size=shape),
    "Student-t5": lambda rng, shape: rng.standard_t(5, shape),
}


def below(limit: float, values: Sequence[float] | np.ndarray, cases: Sequence[str]) -> tuple[Premise, ...]:
    """Return the condition c < limit, with the case that has the largest c."""
    worst = int(np.argmax(values))
    return (Premise(f"c < {limit:g}", float(values[worst]) < limit, cases[worst]),)


def measured_c(bits: int, name: str, *, d: int, rows: int, seed: int = 23, quantizer=MinMax) -> contraction.Measured:
    """Measure c of ``rows`` independent inputs of dimension d: mean, 95 % bootstrap interval, and single values."""
    x = DRAWS[name](np.random.default_rng(seed), (rows, d))
    return contraction.measure(quantizer(bits), x, seed=seed)


def typical(dimensions: Sequence[int], *, rows: int, bits: int, quantizer) -> Evidence:
    """Measure the mean c of random inputs per dimension and distribution.

    The condition c < 1/2 fails where a whole interval is above 1/2.
    """
    found = {
        f"{name}, d = {d}": measured_c(bits, name, d=d, rows=rows, quantizer=quantizer)
        for d in dimensions
        for name in DRAWS
    }
    cases = [
        f"{case}: c = {m.mean:.3f} [{m.low:.3f}, {m.high:.3f}], single inputs {m.values.min():.3f} to {m.largest:.3f}"
        for case, m in found.items()
    ]
    return Evidence(
        claimed=[APPENDIX] * len(found),
        measured=[m.mean for m in found.values()],
        low=[m.low for m in found.values()],
        high=[m.high for m in found.values()],
        seed=23,
        premises=below(APPENDIX, [m.low for m in found.values()], cases),
        params={"d": list(dimensions), "rows": rows, "bits": bits},
        cases=cases,
        note="; ".join(cases[-len(DRAWS) :]),
    )


def worst_case(limit: float, dimensions: Sequence[int], *, bits: int, quantizer) -> Evidence:
    """Search for the largest c of any input per dimension."""
    Q = quantizer(bits)
    found = [contraction.search(Q, d, tries=12, rounds=1, seed=22) for d in dimensions]
    cases = []
    for d, worst in zip(dimensions, found, strict=True):
        x = worst.x[0] / float(Q.choose_qparams(worst.x).scale[0, 0])
        far = int((abs(x) > 0.5 + 1e-3).sum())
        cases.append(f"d = {d}: x with {far} of {d} entries beyond half a step, c = {worst.value:.4f}")
    return Evidence(
        claimed=[limit] * len(found),
        measured=[w.value for w in found],
        cases=cases,
        seed=22,
        params={"bits": bits},
        note="; ".join(cases),
    )
