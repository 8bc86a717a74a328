"""Controls of the claims on the operand of A: other grids of the state and of the residual."""

from modiff_sim import AbsMax, GridAligned, Static, Verdict

VIOLATED = Verdict.VIOLATED
FIXED, ALIGNED = Static(8, scale=1 / 16), GridAligned(3, base=1 / 16)

CONTROLS = [
    ("stored_operand_bits", {"ref": "native"}, VIOLATED),
    ("stored_operand_bits", {"ref": AbsMax(2)}, VIOLATED),
    ("stored_operand_bits", {"ref": FIXED, "residual": ALIGNED}, VIOLATED),
    ("aligned_operand_bits", {"residual": AbsMax(3)}, VIOLATED),
    ("aligned_operand_bits", {"residual": GridAligned(4, base=1 / 8)}, VIOLATED),
]
