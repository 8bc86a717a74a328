"""Corollary A.3 at the paper's larger numbers of bits, where it says something."""

from collections.abc import Sequence

from modiff_sim import Claim, Evidence, Verdict

from . import corollary_a3

ORDER = 5.9
CLAIM = Claim(
    id="corollary_a3_more_bits",
    statement="(29) holds if b ≥ log2(√(4d/c)+1), that is with c = 4d/(2^b-1)²; at 6 and 8 bits and the dimensions of "
    "real layers (128 to 64 maps of 384×32×32). It says more than c = 1 up to d = 992 at 6 bits and 16256 at 8.",
    source="Corollary A.3",
    relation="upper",
    printed=True,
    quote="(29) holds if b ≥ log2(√(4d/c)+1)",
    reading="charitable: at the paper's 6 and 8 bits and the dimensions of its layers",
    instead=("corollary_a3", "kappa_any_dimension"),
)


def check(effort: str = "quick", *, bits: Sequence[int] = (6, 8), **options) -> Evidence:
    """Measure the quantizer's worst case and normal data."""
    return corollary_a3.check(effort, bits=bits, **options)


CONTROLS = [
    ({"bits": (3, 4)}, Verdict.VACUOUS),
    ({"quantizer": corollary_a3.Careless}, Verdict.VIOLATED),
]
