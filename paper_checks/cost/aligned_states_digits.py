"""What the aligned grid costs: its scales are powers of two times one step per layer."""

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from ._states import sqnr_loss

ORDER = 12
CLAIM = Claim(
    id="aligned_states_digits",
    statement=f"{STAND_IN}: on the aligned grid, where â is an exact 8-bit integer and products stay at the residual's "
    "4 bits, the images of the closed loop lose less than one bit (6.02 dB) of SQNR.",
    source="this project (scales up to twice absmax's)",
    relation="upper",
    topic="practice",
)
ALIGNED = ("W8A4 closed, grid-aligned int8 â",)


def check(effort: str = "quick", *, arms: tuple[str, ...] = ALIGNED, images: int | None = None) -> Evidence:
    """Measure the loss of SQNR of the aligned arms against the closed loop as computed."""
    return sqnr_loss(arms, images or (64 if effort == "quick" else 128), claimed=6.02)
