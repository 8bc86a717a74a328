"""Q-Diffusion's split of concatenated skip inputs, in the closed loop."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN

ORDER = 7
CLAIM = Claim(
    id="split_skip_inputs",
    statement=f"{STAND_IN}: a scale of its own for each half of the concatenated skip inputs (Q-Diffusion's split) "
    "lowers the closed loop's error at 4 bits with dynamic scales (relative l2 of the image, ratio whole / split at "
    "least 1).",
    source="Q-Diffusion (shortcut splitting); this project",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, bits=(4,), aside=(8, 6), order=("dynamic", "split")) -> Evidence:
    """Compare errors with and without the split. The note has ``aside`` bits and direct, which do not decide."""
    from ._static import ratios

    def pairs(some, **how) -> dict:
        name = "direct, " if how else ""
        return {f"{name}{b} bits": tuple((kind, b, *how.values()) for kind in order) for b in some}

    return ratios(pairs(bits), effort, claimed=1.0, aside=pairs(aside) | pairs(bits, recursion="direct"))
