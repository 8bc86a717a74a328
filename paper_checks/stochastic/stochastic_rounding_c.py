"""Contraction of stochastic rounding, in expectation."""

import numpy as np

from modiff_sim import Claim, Evidence, Stochastic, Verdict

from .._shared import EPS
from ._controls import Biased

ORDER = 1
CLAIM = Claim(
    id="stochastic_rounding_c",
    statement="Absmax with stochastic rounding: sup E||x-Q(x)||²/||x||² = (√(1+(d-1)/qmax²)-1)/2, below 1 only for "
    "d-1 < 8·qmax².",
    source="this project",
    relation="tight",
)
K = 64  # random bits (j+½)/K: their mean is the exact expectation for fractions that are multiples of 1/K


def expected_ratio(Q, x: np.ndarray) -> np.ndarray:
    """Return E||x-Q(x)||²/||x||² of every row, over K equally spaced random numbers."""
    lost = sum(np.sum((x - Q(x, random=np.full(x.shape, (j + 0.5) / K))) ** 2, axis=1) for j in range(K)) / K
    return lost / np.sum(x**2, axis=1)


def check(effort: str = "quick", *, quantizer=Stochastic) -> Evidence:
    """Scan inputs with all but one entry at the same fraction of a step, over multiples of 1/K, and random inputs.

    Dimensions are d - 1 = qmax²·m(m-2), for which the best fraction, 1/m, is a multiple of 1/K.
    """
    rng = np.random.default_rng(70)
    claimed, measured, cases = [], [], []
    for bits in (2, 3, 4):
        Q = quantizer(bits)
        for m in (4, 8) if effort == "quick" else (4, 8, 16):
            d = 1 + Q.qmax**2 * m * (m - 2)
            fractions = np.arange(1, K) / K
            x = np.repeat(fractions[:, None], d, axis=1)
            x[:, 0] = Q.qmax
            others = rng.integers(-Q.qmax * K, Q.qmax * K + 1, (64, d)) / K * rng.random((64, 1)).round(1)
            others = np.round(others * K) / K
            others[:, 0] = Q.qmax
            claimed.append((np.sqrt(1 + (d - 1) / Q.qmax**2) - 1) / 2)
            measured.append(float(np.concatenate([expected_ratio(Q, x), expected_ratio(Q, others)]).max()))
            cases.append(f"b = {bits}, d = {d}")
    # every number of the scan is a multiple of 1/K below 2^20: squares and sums are exact, quotient and root round
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=8 * EPS * np.asarray(claimed),
        seed=70,
        note="; ".join(f"{case}: {m:.4g}" for case, m in zip(cases, measured, strict=True)),
        everywhere=True,
    )


CONTROLS = [
    ({"quantizer": Biased}, Verdict.VIOLATED),
]
