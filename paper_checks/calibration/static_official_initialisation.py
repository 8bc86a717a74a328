"""What the official code's min-max initialisation of static scales costs."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN

ORDER = 5
CLAIM = Claim(
    id="static_official_initialisation",
    statement=f"{STAND_IN}: the official code's initialisation of static residual scales, (max-min)/(qmax-1), makes "
    "the closed loop's error at least 1.5 times that with max|d|/qmax at 8, 6 and 4 bits (relative l2 of the image); "
    "the scale itself is 2.02 to 2.33 times as large where extremes are symmetric.",
    source="official code",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, bits=(8, 6, 4), method="official_minmax") -> Evidence:
    """Compare errors with those of min-max.

    The note has min-max with one bit less as well, whose scale is the same where extremes are symmetric.
    """
    from ._static import ratios

    def against(fewer: int) -> dict:
        name = "min-max" if not fewer else "min-max with a bit less"
        return {
            f"{b} bits, against {name}": ((method, b, "difference"), ("minmax", b - fewer, "difference")) for b in bits
        }

    return ratios(against(0), effort, claimed=1.5, aside=against(1))
