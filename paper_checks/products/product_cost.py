"""When modulating a product of two activations costs less than quantizing it directly."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, contraction, processes
from modiff_sim import recursion as rec
from modiff_sim.bounds import products

ORDER = 4
BITS = (2, 3, 4, 6, 8)
CLAIM = Claim(
    id="product_cost",
    statement="Modulating a product of activations takes two products b × p for direct's one p × p, so it pays only "
    "where direct needs p > 2b bits: for R = ||a||/||d|| beyond (2^(2b-1)-1)/(2^(b-1)-3/2), at least 12.4 whatever b "
    "(least R, from runs that attain both worst cases).",
    source="this project; Table 1 leaves q·kᵀ and softmax·v in full precision",
    relation="equal",
)


def check(
    effort: str = "quick", *, recursion="closed_loop", ratio=products.least_ratio, bops=products.bops_per_mac
) -> Evidence:
    """Find the ratio R at which direct, with the most bits that do not cost more, has the closed loop's worst error."""
    n = 80 if effort == "quick" else 400
    measured, cases = [], []
    for bits in BITS:
        inputs = np.stack(list(processes.alternating(2, bits=bits).draw(np.random.default_rng(0), 1, n)))
        *_, (_, last) = rec.run(recursion, inputs, AbsMax(bits))
        error = float(np.abs(inputs[-1] - last.output).max())  # of a closed loop whose differences have max norm 1
        # references are kept with as many bits as direct quantization has
        p = max(p for p in range(bits, 33) if p * p <= bops((bits, bits), (p, p)))
        lost = contraction.search(AbsMax(p), 2, norm="kappa").value  # direct's worst error over ||a||
        measured.append(error / lost)
        cases.append(f"b = {bits}: direct with {p} bits loses {lost:.3g} ||a||, the closed loop {error:.3g} ||d||")
    claimed = [ratio(bits) for bits in BITS]
    # alternating converges like κ^n (κ = 1/2 at 2 bits), and inputs of the size of n are rounded
    return Evidence(
        claimed,
        measured,
        cases=cases,
        atol=1e-9 * np.asarray(claimed),
        note="; ".join(cases),
        params={"R": {b: round(float(r), 2) for b, r in zip(BITS, measured, strict=True)}},
    )


CONTROLS = [
    ({"bops": lambda bits, states: bits[0] * bits[1] * 2}, Verdict.VIOLATED),
    ({"bops": lambda bits, states: bits[0] * states[1]}, Verdict.VIOLATED),
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
    ({"ratio": lambda bits: 10.0}, Verdict.VIOLATED),
]
