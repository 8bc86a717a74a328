"""What clipping costs: the max norm, on which the dimension-free bound rests."""

from __future__ import annotations

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, MSEClip, Verdict, contraction

ORDER = 7
CLAIM = Claim(
    id="clipping_kappa",
    statement="The clipping of least squared error pays in the max norm: on normal entries (2 to 4 bits, d = 4096) its "
    "typical ||x-Q(x)||_∞/||x||_∞ exceeds 1/(2·qmax), absmax's worst case for any input.",
    source="this project",
    relation="lower",
)


def check(effort: str = "quick", *, quantizer=MSEClip) -> Evidence:
    """Compare the mean κ of clipping on normal inputs with that of absmax."""
    x = np.random.default_rng(538).standard_normal((16 if effort == "quick" else 64, 4096))
    found = {bits: contraction.measure(quantizer(bits), x, norm="kappa") for bits in (2, 3, 4)}
    return Evidence(
        claimed=[AbsMax(bits).kappa(4096) for bits in found],
        measured=[m.mean for m in found.values()],
        low=[m.low for m in found.values()],
        high=[m.high for m in found.values()],
        seed=538,
        cases=[f"b = {bits}: {m.mean:.3f} [{m.low:.3f}, {m.high:.3f}]" for bits, m in found.items()],
        note=", ".join(f"b = {b}: {m.mean:.2f} against {AbsMax(b).kappa(2):.3f}" for b, m in found.items()),
    )


CONTROLS = [
    ({"quantizer": AbsMax}, Verdict.VIOLATED),
]
