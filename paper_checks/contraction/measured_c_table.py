"""What (29)'s c is on typical data: the table from which the discussion of the assumption starts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, HalfAway, Verdict, atlas, contraction

ORDER = 10
D = 131072
#: bits -> c of one input of D entries: normal, Laplace, Student-t5
TABLE = {2: (0.94, 0.98, 0.99), 3: (0.21, 0.52, 0.84), 4: (0.038, 0.14, 0.40), 6: (0.002, 0.008, 0.024)}
CLAIM = Claim(
    id="measured_c_table",
    statement=f"c of absmax on one input of {D} normal / Laplace / Student-t5 entries: "
    + ", ".join(f"{' / '.join(f'{v:g}' for v in row)} at {bits} bits" for bits, row in TABLE.items())
    + "; each within the range of single inputs.",
    source="this project, on (29)",
    relation="equal",
)


def check(effort: str = "quick", *, quantizer=AbsMax, table: Mapping[int, tuple[float, ...]] = TABLE) -> Evidence:
    """Compare the table, whose last digit is rounded, with the range of c over independent inputs."""
    trials = 16 if effort == "quick" else 64
    found = {}
    for name in ("normal", "laplace", "t5"):
        pieces = list(atlas.parts(name, D, trials, 548))
        for bits in table:
            values = np.concatenate([atlas.sample_ratios(quantizer(bits), x, ["c"])["c"] for x in pieces])
            found[name, bits] = contraction.summary(values, seed=548)
    claimed = [table[bits][("normal", "laplace", "t5").index(name)] for name, bits in found]
    return Evidence(
        claimed=claimed,
        measured=[m.mean for m in found.values()],
        low=[m.values.min() for m in found.values()],
        high=[m.largest for m in found.values()],
        seed=548,
        atol=[0.5 * 10.0 ** -len(f"{v:g}".split(".")[1]) for v in claimed],
        cases=[
            f"{name}, b = {bits}: mean {m.mean:.3g} [{m.low:.3g}, {m.high:.3g}], single inputs {m.values.min():.3g} "
            f"to {m.largest:.3g}"
            for (name, bits), m in found.items()
        ],
        params={f"{name}, {bits} bits": [m.low, m.mean, m.high] for (name, bits), m in found.items()},
        note=f"{trials} inputs each; the mean with its 95 % interval is in the parameters",
    )


CONTROLS = [
    ({"table": {3: (0.21, 0.21, 0.21)}}, Verdict.VIOLATED),  # as if tails did not matter
    ({"quantizer": HalfAway, "table": {3: (0.21, 0.52, 0.84)}}, Verdict.HOLDS),
]
