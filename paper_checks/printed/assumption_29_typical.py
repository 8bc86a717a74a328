"""The same assumption on typical data: it depends on the tails."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, contraction

ORDER = 9
CLAIM = Claim(
    id="assumption_29_typical",
    statement="(29) with c < 1/2 on the average of large inputs at 3 bits (round-to-nearest absmax), whether their "
    "entries are normal, Laplace or Student-t5 distributed.",
    source="Theorem 4.4, assumption (29)",
    relation="upper",
    printed=True,
    expected=Verdict.VIOLATED,
    quote="||x - Q(x)||² ≤ c||x||², 0 < c < 1/2",
    reading="charitable: on the average of large random inputs",
    instead=("measured_c_table", "max_norm_closed_loop"),
)
DRAWS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "Laplace": lambda rng, shape: rng.laplace(size=shape),
    "Student-t5": lambda rng, shape: rng.standard_t(5, shape),
}


def measured_c(bits: int, name: str, *, d: int, rows: int, seed: int = 23, quantizer=AbsMax) -> contraction.Measured:
    """Measure c of ``rows`` independent inputs of dimension d: mean, 95 % bootstrap interval, and single values."""
    x = DRAWS[name](np.random.default_rng(seed), (rows, d))
    return contraction.measure(quantizer(bits), x, seed=seed)


def check(effort: str = "quick", *, bits: int = 3, quantizer=AbsMax) -> Evidence:
    """Measure the mean c of large inputs per distribution."""
    d, rows = (2**15, 16) if effort == "quick" else (2**17, 64)
    found = {name: measured_c(bits, name, d=d, rows=rows, quantizer=quantizer) for name in DRAWS}
    return Evidence(
        claimed=[0.5] * len(found),
        measured=[m.mean for m in found.values()],
        low=[m.low for m in found.values()],
        high=[m.high for m in found.values()],
        seed=23,
        params={"d": d, "rows": rows, "bits": bits},
        cases=[
            f"{name}, d = {d}: c = {m.mean:.2f} [{m.low:.2f}, {m.high:.2f}], single inputs {m.values.min():.2f} to "
            f"{m.largest:.2f}"
            for name, m in found.items()
        ],
    )


CONTROLS = [
    ({"bits": 6}, Verdict.HOLDS),
]
