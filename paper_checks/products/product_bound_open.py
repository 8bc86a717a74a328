"""How far a product of two open loops can be off."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict
from modiff_sim.bounds import products

from .._shared import Shrink, Worst
from ._products import growing, run_products

ORDER = 3
CLAIM = Claim(
    id="product_bound_open",
    statement="Open loop, product of K terms, max norms: ||a·b-ô|| ≤ K Σ_k κ(||Δa_k|| ||b_k|| + ||a_{k-1}|| ||Δb_k||), "
    "a sum over all calls; attained at every call (largest error over bound).",
    source="this project, on q·kᵀ and softmax·v",
    relation="tight",
)


def check(effort: str = "quick", *, recursion="open_loop", bound=products.open_loop_bound) -> Evidence:
    """Q(x) = (1-κ)x on growing positive operands attains the bound. AbsMax on random operands must stay below it."""
    n, trials = (16, 32) if effort == "quick" else (128, 128)
    rng = np.random.default_rng(862)
    ratio, atol, cases = [], [], []
    for bits in (2, 3, 4, 8):
        kappa, worst = AbsMax(bits).kappa(8), Worst.none(n)
        a, b = (rng.standard_normal((n + 1, trials, 4, 4)).cumsum(axis=0) for _ in range(2))
        for name, x, y, Q in (
            ("growing operands", growing(n, rng), growing(n, rng), Shrink(contraction=kappa**2)),
            ("random operands", a, b, AbsMax(bits)),
        ):
            done, sizes = run_products(recursion, x, y, Q)
            limit = bound(sizes["a_before"], sizes["b"], sizes["d_a"], sizes["d_b"], (kappa, kappa), x.shape[-1])
            worst.add(done, limit, name)
        ratio.append(worst.ratio)
        atol.append(worst.atol)
        cases += [f"b = {bits}, call {j + 1}: {case}" for j, case in enumerate(worst.case)]
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=np.concatenate(ratio),
        cases=cases,
        seed=862,
        atol=np.concatenate(atol),
        note=f"{n} calls",
        everywhere=True,
    )


def this_call_only(a_before, b, d_a, d_b, kappa, inner):
    """Return the bound of the open loop without its sum."""
    return inner * (kappa[0] * d_a * b + kappa[1] * a_before * d_b)


CONTROLS = [
    ({"bound": this_call_only}, Verdict.VIOLATED),
    ({"recursion": "closed_loop"}, Verdict.VIOLATED),
]
