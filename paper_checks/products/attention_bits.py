"""How many bits attention needs beside modulated layers."""

import numpy as np

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from .._mixture import interval
from ._attention import SIZES, errors, everything, median_ratio

ORDER = 6
CLAIM = Claim(
    id="attention_bits",
    statement=f"{STAND_IN}: with q, k, v and softmax all quantized directly to 4 bits the image moves by at most "
    "half of what modulating the layers at 4 bits does to it, at 8 bits by at most a fortieth (16 tokens; ratio of "
    "median relative l2 errors).",
    source="this project; the paper's code leaves attention in full precision",
    relation="upper",
    topic="practice",
)


def check(effort: str = "quick", *, bits=(4, 8), recursion: str = "direct") -> Evidence:
    """Compare the image errors of quantized attention with those of modulated layers."""
    layers, _ = errors(effort, layers=4)
    ratio, low, high, cases = [], [], [], []
    for b in bits:
        moved, _ = errors(effort, attention=everything(b, recursion))
        for found, value in zip((ratio, low, high), interval(median_ratio, moved, layers), strict=True):
            found.append(value)
        cases.append(f"{b} bits: {np.median(moved):.2g} of {np.median(layers):.2g}")
    return Evidence(
        claimed=[1 / 2, 1 / 40],
        measured=ratio,
        low=low,
        high=high,
        cases=cases,
        seed=0,
        params=dict(zip(("images", "steps"), SIZES[effort], strict=True)),
        note="; ".join(cases),
    )
