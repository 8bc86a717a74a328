"""What the claims on (29) for real residuals share: c of every one, and the condition on the largest."""

from __future__ import annotations

import numpy as np

from modiff_sim import Evidence
from modiff_sim.evidence import Premise


def assumption(effort: str, scales: str, limit: float) -> Evidence:
    """Measure c of every layer, call and image. Where one is at the limit or above, Theorem 4.4 does not apply to it.

    ``scales`` is "channel" or "sample".
    """
    from analysis.experiments.residuals import ABSMAX, RECORD_BITS, measure

    seen = measure(effort)

    def said(name: str) -> str:
        c = seen[f"c_{name}"]
        i, step, _ = np.unravel_index(np.argmax(c), c.shape)
        beyond = float(np.mean(c >= limit))
        share = f"{100 * beyond:.2g} % of all are at {limit:g} or above" if beyond else f"none is at {limit:g} or above"
        return f"largest c = {c.max():.2f}, in {seen['layers'][i]} at call {step + 1}; {share}"

    c = seen[f"c_{scales}"]
    other = f"; with absmax scales: {said(ABSMAX)}" if scales == "sample" else ""
    return Evidence(
        claimed=limit,
        measured=c.max(axis=(1, 2)),
        seed=0,
        cases=[f"layer {name}" for name in seen["layers"]],
        premises=(Premise(f"c < {limit:g}", bool(c.max() < limit), said(scales)),),
        note=f"{said(scales)}{other}; median over all {np.median(c):.2f}",
        params={"bits": RECORD_BITS, "layers": len(c), "steps": c.shape[1] + 1, "images": c.shape[2]},
    )
