"""Smaller states without visible loss: 8-bit â with 16-bit ô, or with ô recomputed."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from ._states import sqnr_loss

ORDER = 11
CLAIM = Claim(
    id="rounded_states_digits",
    statement=f"{STAND_IN}: keeping â as 8-bit codes and ô in float16, or recomputing ô (for the CIFAR-10 U-Net 15.2 "
    "and 6.1 MiB per image instead of 42.6), lowers the SQNR of the 4-bit closed loop's images by less than 1 dB.",
    source="this project, on the memory of full-precision caches; its bound with the state's rounding added",
    relation="upper",
    topic="practice",
)
STATES = ("W8A4 closed, int8 â, fp16 ô", "W8A4 closed, int8 â, ô recomputed")


def check(effort: str = "quick", *, arms: tuple[str, ...] = STATES, images: int | None = None) -> Evidence:
    """Measure the loss of SQNR of the rounded arms against the closed loop as computed."""
    return sqnr_loss(arms, images or (64 if effort == "quick" else 128), claimed=1.0)
