"""Quantized weights beside quantized activations."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, PerChannel, Verdict, bounds
from modiff_sim import recursion as rec

from .._broken import Flipped
from .._shared import EPS, Errors, Shrink, Worst, families

ORDER = 9
CLAIM = Claim(
    id="weight_error",
    statement="With quantized weights A_q, ||o_j-ô_j|| ≤ ||A_q||·E_j + ||A-A_q||·||a_j|| in every recursion: a floor "
    "that no recursion compensates; attained (largest error over bound).",
    source="this project",
    relation="tight",
)
#: recursion -> bound on ||a - â|| in the max norm
INPUT_ERROR = {
    "direct": lambda a, d, kappa: bounds.direct(a, kappa**2),
    "open_loop": lambda a, d, kappa: bounds.max_norm_open_loop(d, kappa),
    "closed_loop": lambda a, d, kappa: bounds.max_norm_closed_loop(d, kappa),
}


def check(
    effort: str = "quick", *, bound=bounds.with_weight_error, recursions=("direct", "open_loop", "closed_loop")
) -> Evidence:
    """Scalars attain the bound: weights 1 and 7/8, growing inputs, Q(x) = (1-κ)x. AbsMax must stay below it."""
    n = 16 if effort == "quick" else 64
    rng = np.random.default_rng(484)
    ratio, atol, cases = [], [], []
    for name, known in zip(recursions, map(INPUT_ERROR.get, ("direct", "open_loop", "closed_loop")), strict=True):
        for bits in (2, 4, 8):
            kappa, worst = AbsMax(bits).kappa(4), Worst.none(n)
            W = rng.standard_normal((3, 4))
            line = np.cumsum(rng.lognormal(size=n + 1))[:, None, None]
            grown = families(n, 4, rng)
            walk = np.concatenate([rng.standard_normal(grown[:1].shape), grown]).cumsum(axis=0)
            for case, inputs, Q, A, A_q in (
                ("scalars", line, Shrink(contraction=kappa**2), np.ones((1, 1)), np.full((1, 1), 0.875)),
                ("random", walk, AbsMax(bits), W, AbsMax(4, granularity=PerChannel(0))(W)),
            ):
                calls = rec.run(name, inputs, Q, lambda x, A_q=A_q: x @ A_q.T)
                outputs = inputs @ A.T
                error = np.stack([np.abs(o - s.output).max(axis=-1) for o, (_, s) in zip(outputs, calls, strict=True)])
                a = np.abs(inputs).max(axis=-1)
                d = np.abs(np.diff(inputs, axis=0)).max(axis=-1)
                norm, off = (float(np.abs(M).sum(axis=1).max()) for M in (A_q, A - A_q))
                limit = bound(known(a[1:], d, kappa), a[1:], gain=norm, weight_error=off)
                # per call a product and a few sums of numbers of the size of a
                slack = 16 * len(A.T) * EPS * np.arange(1, n + 1)[:, None] * np.maximum.accumulate(a)[1:] * (norm + off)
                worst.add(Errors(error[1:], d, slack, []), limit, case)
            ratio.append(worst.ratio)
            atol.append(worst.atol)
            cases += [f"{name}, b = {bits}, call {j + 1}: {case}" for j, case in enumerate(worst.case)]
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=np.concatenate(ratio),
        cases=cases,
        seed=484,
        atol=np.concatenate(atol),
        note=f"attained at each of {n} calls in all three recursions",
        everywhere=True,
    )


CONTROLS = [
    ({"bound": lambda error, a, *, gain, weight_error: gain * error}, Verdict.VIOLATED),
    ({"bound": lambda error, a, *, gain, weight_error: gain * error + 2 * weight_error * a}, Verdict.VIOLATED),
    ({"recursions": ("open_loop", "direct", "closed_loop")}, Verdict.VIOLATED),
    ({"recursions": ("direct", "open_loop", Flipped())}, Verdict.VIOLATED),
]
