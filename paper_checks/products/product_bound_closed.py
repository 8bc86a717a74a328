"""How far a product of two closed loops can be off."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, bilinear, bounds
from modiff_sim.bounds import products

from .._beyond import Overshoot
from .._broken import Dropped
from .._shared import Worst
from ._controls import unchecked
from ._products import run_products, turning

ORDER = 2
CLAIM = Claim(
    id="product_bound_closed",
    statement="Closed loop, product of K terms, max norms: ||a·b-ô|| ≤ K(E_a||b|| + ||a||E_b + E_a E_b) with E = "
    "Σ κ^(age+1)||d||: the error does not accumulate; attained at every call (largest error over bound).",
    source="this project, on q·kᵀ and softmax·v",
    relation="tight",
)


def check(
    effort: str = "quick", *, recursion="closed_loop", bound=products.closed_loop_bound, rule=bilinear.run
) -> Evidence:
    """Q(x) = (1+κ)x on operands that change sign at every call attains the bound. AbsMax must stay below it."""
    n, trials = (16, 32) if effort == "quick" else (128, 128)
    rng = np.random.default_rng(861)
    ratio, atol, cases, typical = [], [], [], []
    for bits in (2, 3, 4, 8):
        kappa, worst = AbsMax(bits).kappa(8), Worst.none(n)
        a, b = (rng.standard_normal((n + 1, trials, 4, 4)).cumsum(axis=0) for _ in range(2))
        for name, x, y, Q in (
            ("operands that change sign", turning(n, rng), turning(n, rng), Overshoot(contraction=kappa**2)),
            ("random operands", a, b, AbsMax(bits)),
        ):
            done, sizes = run_products(recursion, x, y, Q, rule)
            limit = bound(sizes["a"], sizes["b"], sizes["d_a"], sizes["d_b"], (kappa, kappa), x.shape[-1])
            worst.add(done, limit, name)
            if Q.bits == bits:
                typical.append(float(np.median(done.error[-1] / limit[-1])))
        ratio.append(worst.ratio)
        atol.append(worst.atol)
        cases += [f"b = {bits}, call {j + 1}: {case}" for j, case in enumerate(worst.case)]
    share = ", ".join(f"{v:.2g}" for v in typical)
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=np.concatenate(ratio),
        cases=cases,
        seed=861,
        atol=np.concatenate(atol),
        note=f"random operands reach {share} of the bound at 2, 3, 4, 8 bits",
        everywhere=True,
    )


def without_second_order(a, b, d_a, d_b, kappa, inner):
    """Return the bound without E_a·E_b."""
    E = [bounds.max_norm_closed_loop(d, k) for d, k in zip((d_a, d_b), kappa, strict=True)]
    return inner * (E[0] * b + a * E[1])


def no_inner(*args):
    """Return a bound that forgets how many terms an entry has."""
    return products.closed_loop_bound(*args[:-1], 1)


CONTROLS = [
    ({"bound": without_second_order}, Verdict.VIOLATED),
    ({"bound": no_inner}, Verdict.VIOLATED),
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
    ({"recursion": Dropped(), "rule": unchecked}, Verdict.VIOLATED),
]
