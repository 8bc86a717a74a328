"""What else decides whether modulation without compensation helps: fresh noise at every step."""

import numpy as np

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN
from .._rows import cells, judged, pseudo

ORDER = 11.5
LIVE = True  # of committed rows
TABLES = {"DDIM": "4", "DDPM": "4-ddpm"}
CLAIM = Claim(
    id="open_loop_by_sampler",
    statement=f"{STAND_IN}: at W8A6 and W8A4, where convolutions alone are quantized, modulation without "
    "compensation is nearer to full precision than ordinary quantization with DDIM, and farther with DDPM (median "
    "PSNR of the open loop minus that of direct in dB, its sign changed for DDPM, above 0; channel-wise scales, 100 "
    "steps).",
    source="this project, on Table 4",
    relation="lower",
    topic="practice",
)


def check(effort: str = "quick", *, better: str = "DDIM", rows=("W8A6", "W8A4"), layers="convolutions") -> Evidence:
    """Compare the PSNR of both arms under both samplers. ``better`` is the one that favours the open loop."""
    places = [(sampler, row) for sampler in TABLES for row in rows]
    pairs = [
        tuple(cells(TABLES[sampler], (row, f"{layers}: open loop"), (row, f"{layers}: direct")))
        for sampler, row in places
    ]
    found = [
        (1 if sampler == better else -1) * np.subtract(*(pseudo(TABLES[sampler], cell, "psnr") for cell in pair))
        for (sampler, _), pair in zip(places, pairs, strict=True)
    ]
    labels = [f"{sampler}, {row}{'' if sampler == better else ' (sign changed)'}" for sampler, row in places]
    return judged("4-ddpm", found, labels, 0.0, pairs=pairs, what="difference of PSNR in dB")
