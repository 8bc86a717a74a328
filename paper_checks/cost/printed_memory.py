"""The memory that the paper prints for the CIFAR-10 model against what a compensated run has to keep."""

import math
from collections.abc import Callable

from modiff_sim import Claim, Evidence
from modiff_sim.cost import LayerShape

from ._cost import HALF_A_DIGIT, PRINTED_MIB, PRINTED_SLOPE, SHAPES, cifar10

ORDER = 8
LIVE = True  # it only counts
CLAIM = Claim(
    id="printed_memory",
    statement=f"{SHAPES}: the printed memory, {PRINTED_MIB} + {PRINTED_SLOPE:.2f}·b·B MiB for B images, is that of "
    "8-bit weights and of the convolutions' â at b bits.",
    source="Tables 6 and 19-21, through their fit",
    relation="equal",
    topic="practice",
    printed=True,
    quote="34.09 + 0.60·b·B MiB, the fit of the printed cells",
    reading="charitable: the inputs of the convolutions alone are kept; that the numbers agree is no proof that they "
    "were counted so. The quotation is our fit: the cells were not available to us",
    instead=("printed_memory_both_states", "state_memory"),
)
MIB = 2**20


def inputs_of_convolutions(layer: LayerShape) -> int:
    """Return the number of entries of a convolution's â, and 0 for another layer."""
    return math.prod(layer.input) if layer.kind == "Conv2d" else 0


def both(layer: LayerShape) -> int:
    """Return the number of entries of â and ô."""
    return math.prod(layer.input) + math.prod(layer.output)


def check(effort: str = "quick", *, kept: Callable[[LayerShape], int] = inputs_of_convolutions) -> Evidence:
    """Compare the printed line with weights and states, where ``kept`` counts a layer's entries per image."""
    shapes = cifar10()
    entries = sum(kept(layer) for layer in shapes.layers)
    return Evidence(
        claimed=[PRINTED_MIB, PRINTED_SLOPE],
        measured=[shapes.parameters / MIB, entries / 8 / MIB],
        cases=["MiB of the weights", "MiB per bit and image"],
        atol=HALF_A_DIGIT,
        params={"entries": entries, "parameters": shapes.parameters},
        note=f"{entries / 1e6:.2f} M entries per image: {entries / 8 / MIB:.3f} MiB per bit, "
        f"{entries * 4 / MIB:.1f} MiB in float32",
    )
