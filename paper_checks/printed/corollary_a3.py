"""Corollary A.3: the number of bits that guarantees (29)."""

from collections.abc import Sequence

import numpy as np

from modiff_sim import Claim, Evidence, MinMaxRaw, Verdict, bounds, contraction

ORDER = 6
CLAIM = Claim(
    id="corollary_a3",
    statement="(29) holds if b ≥ log2(√(4d/c)+1), that is with c = 4d/(2^b-1)²; at 3 and 4 bits and the dimensions of "
    "real layers (128 to 64 maps of 384×32×32).",
    source="Corollary A.3",
    relation="upper",
    printed=True,
    expected=Verdict.VACUOUS,
    quote="(29) holds if b ≥ log2(√(4d/c)+1)",
    reading="at the 3 and 4 bits that the paper is about, and the dimensions of its layers",
    instead=("corollary_a3_more_bits", "kappa_any_dimension", "absmax_worst_case_c"),
)
#: the CIFAR-10 U-Net's time embedding; 1024; its smallest and largest map; the largest map of a batch of 64
DIMENSIONS = (128, 1024, 256 * 4 * 4, 384 * 32 * 32, 64 * 384 * 32 * 32)


def check(
    effort: str = "quick", *, bits: Sequence[int] = (3, 4), dimensions: Sequence[int] = DIMENSIONS, quantizer=MinMaxRaw
) -> Evidence:
    """Measure the quantizer's worst case (which is declared and tested), and normal data up to d = 65536.

    The trivial constant is c = 1, that of Q = 0.
    """
    rng = np.random.default_rng(20)
    claimed, measured, cases = [], [], []
    for b in bits:
        for d in dimensions:
            Q = quantizer(b)
            data = contraction.ratios(Q, rng.standard_normal((4, d))).max() if d <= 2**16 else 0.0
            claimed.append(4 * d / (2**b - 1) ** 2)
            measured.append(max(Q.c(d), data))
            cases.append(f"b = {b}, d = {d}")
    needed = {int(d): round(bounds.corollary_a3_bits(d, 0.5), 2) for d in dimensions}
    return Evidence(
        claimed=claimed,
        measured=measured,
        trivial=1.0,
        cases=cases,
        seed=20,
        params={"bits for c = 1/2": needed},
        note=f"bits needed for c = 1/2: {', '.join(f'{b} at d = {d}' for d, b in needed.items())}",
    )


class Careless(MinMaxRaw):
    """A worst case far above what Corollary A.3 guarantees."""

    def c(self, d):
        """A constant far above that of the corollary."""
        return 1e6


CONTROLS = [
    ({"bits": (8,), "dimensions": (128,)}, Verdict.HOLDS),  # says something at 8 bits
    ({"quantizer": Careless}, Verdict.VIOLATED),
]
