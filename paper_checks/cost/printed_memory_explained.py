"""Which tensors the memory that the paper prints belongs to."""

import math
from collections.abc import Callable

from modiff_sim import Claim, Evidence

from . import printed_memory
from ._cost import SHAPES

ORDER = 9
LIVE = True  # it only counts
CLAIM = Claim(
    id="printed_memory_explained",
    statement=f"{SHAPES}: the printed memory is that of 8-bit weights and of â of the convolutions alone at b bits; ô, "
    "which a run has to keep as well, and the attention projections are not in it.",
    source="this project, on Tables 6 and 19-21, through their fit",
    relation="equal",
    topic="practice",
)


def inputs_of_convolutions(layer) -> int:
    """Return the number of entries of â of a convolution, and 0 for other layers."""
    return math.prod(layer.input) if layer.kind.startswith("Conv") else 0


def check(effort: str = "quick", *, kept: Callable[..., int] = inputs_of_convolutions) -> Evidence:
    """Compare the printed line with weights and the states that ``kept`` counts."""
    return printed_memory.check(effort, kept=kept)
