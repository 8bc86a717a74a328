"""A state on the residuals' own grid leaves the operand of A at the residual's few bits."""

from typing import Any

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, GridAligned, Static, Storage, Verdict, cost

from .stored_operand_bits import BITS, SEED, operand_bits, sequence

ORDER = 2
BASE = 1 / 8  # 8-bit codes with this step reach 16, beyond all inputs; as a power of two it is exact
REF, RESIDUAL = Static(8, scale=BASE), GridAligned(BITS, base=BASE)
CLAIM = Claim(
    id="aligned_operand_bits",
    statement="With â kept as 8-bit codes of one fixed step and residuals quantized to multiples of that step, A is "
    "still applied to integers of 3 bits, up to one scale per sample (log2 of the levels they span).",
    source="this project",
    relation="upper",
)


def spanned(sample: np.ndarray) -> int:
    """Return the levels of the coarsest uniform grid through zero that contains these multiples of BASE."""
    codes = np.rint(sample / BASE).astype(np.int64)
    step = max(int(np.gcd.reduce(codes)), 1)
    return int(codes.max() - codes.min()) // step + 1


def check(effort: str = "quick", *, ref: Any = REF, residual: Any = RESIDUAL) -> Evidence:
    """Compare the bits that A really sees with those that ``cost`` counts."""
    storage, inputs = Storage(ref), sequence(effort, step=0.5)
    return Evidence(
        claimed=cost.operand_bits(storage, BITS, aligned=True),
        trivial=float(ref.bits + 1),
        measured=operand_bits(inputs, residual, storage, spanned),
        seed=SEED,
        params={"shape": inputs.shape, "base": BASE},
    )


CONTROLS = [
    ({"residual": AbsMax(3)}, Verdict.VIOLATED),
    ({"residual": GridAligned(4, base=1 / 8)}, Verdict.VIOLATED),
]
