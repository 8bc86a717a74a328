"""The memory that the paper prints for the CIFAR-10 model against what a compensated run has to keep."""

import math
from collections.abc import Callable

from modiff_sim import Claim, Evidence, Verdict

from ._cost import HALF_A_DIGIT, PRINTED_MIB, PRINTED_SLOPE, SHAPES, cifar10

ORDER = 8
LIVE = True  # it only counts
CLAIM = Claim(
    id="printed_memory",
    statement=f"{SHAPES}: the printed memory, {PRINTED_MIB} + {PRINTED_SLOPE:.2f}·b·B MiB for B images, is that of "
    "8-bit weights and of both caches, â and ô, at b bits.",
    source="Tables 6 and 19-21, through their fit",
    relation="equal",
    topic="practice",
    printed=True,
    expected=Verdict.VIOLATED,
    quote="34.09 + 0.60·b·B MiB, the fit of the printed cells",
    reading="the states that a compensated run has to keep, â and ô, at b bits, as the text says of both caches",
    instead=("state_memory",),
)
MIB = 2**20


def both(layer) -> int:
    """Return the number of entries of â and ô."""
    return math.prod(layer.input) + math.prod(layer.output)


def check(effort: str = "quick", *, kept: Callable[..., int] = both) -> Evidence:
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
