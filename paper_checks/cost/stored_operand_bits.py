"""What a rounded state costs: the operand of A is then no longer the few-bit residual."""

from collections.abc import Callable
from typing import Any

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, GridAligned, Quantizer, Static, Storage, Verdict, cost
from modiff_sim import recursion as rec

ORDER = 1
CLAIM = Claim(
    id="stored_operand_bits",
    statement="Keeping â as 8-bit codes with a scale of its own per call takes away what 3-bit residuals save: the "
    "operator A is applied to more than 2^3 different values, 8 bits of them where ô is recomputed and more where it "
    "is stored (log2 of the operand's distinct values in a sample).",
    source="this project",
    relation="lower",
)
BITS, SEED = 3, 839
EIGHT, RESIDUAL = AbsMax(8), AbsMax(BITS)


def distinct(sample: np.ndarray) -> int:
    """Return the number of different values."""
    return len(np.unique(sample))


def operand_bits(
    inputs: np.ndarray, Q: Quantizer, storage: Storage, levels: Callable[[np.ndarray], int] = distinct
) -> float:
    """Return log2 of the most levels in what A is applied to, over samples and calls after the first."""
    seen: list[Any] = []

    def A(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return x

    calls = rec.run("closed_loop", inputs, Q, A, storage=storage)
    next(iter(calls))
    seen.clear()
    for _ in calls:
        pass
    return float(np.log2(max(levels(sample) for x in seen for sample in x)))


def sequence(effort: str, step: float = 0.05) -> np.ndarray:
    """Return slowly changing inputs (calls, samples, d)."""
    d, steps = (4096, 8) if effort == "quick" else (65536, 32)
    rng = np.random.default_rng(SEED)
    return rng.standard_normal((1, 4, d)) + step * rng.standard_normal((steps, 4, d)).cumsum(axis=0)


def check(effort: str = "quick", *, ref: Any = EIGHT, residual: Any = RESIDUAL) -> Evidence:
    """Compare the bits that A really sees, with ô stored or recomputed, with those of the residual."""
    inputs = sequence(effort)
    measured, cases, shown = [], [], []
    for o_hat in ("recompute", "native"):
        storage = Storage(ref, o_hat)
        measured.append(operand_bits(inputs, residual, storage))
        cases.append(f"ô {'recomputed' if o_hat == 'recompute' else 'stored'}")
        shown.append(f"{cases[-1]}: {measured[-1]:.1f} bits seen, {cost.operand_bits(storage, BITS):g} counted")
    plain = operand_bits(inputs, residual, Storage())
    return Evidence(
        claimed=float(BITS),
        measured=measured,
        cases=cases,
        seed=SEED,
        params={"shape": inputs.shape},
        note="; ".join([*shown, f"as computed: {plain:.1f} bits seen"]),
    )


CONTROLS = [
    ({"ref": "native"}, Verdict.VIOLATED),
    ({"ref": AbsMax(2)}, Verdict.VIOLATED),
    ({"ref": Static(8, scale=1 / 16), "residual": GridAligned(3, base=1 / 16)}, Verdict.VIOLATED),
]
