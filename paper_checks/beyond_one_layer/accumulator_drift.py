"""How far ô, a sum that is not compensated, drifts in each float type.

â is kept in float64 here. Where it is rounded as well, ô differs from A(â) by that too: ``bounds.output_drift``.
"""

from collections.abc import Sequence

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Identity, Quantizer, Verdict, bounds
from modiff_sim import recursion as rec

from .._beyond import RoundedLoop
from .._broken import scaled
from .._shared import EPS, Errors, Worst

ORDER = 7
CLAIM = Claim(
    id="accumulator_drift",
    statement="Stored in a float type of unit roundoff u beside an â that is kept exactly, ô drifts by at most "
    "Σ_j min(u(||o_j||+Δ_{j-1}), ||A r̂_j||): linear in the calls, nothing compensates it; attained at every call by "
    "stagnation (largest drift over bound).",
    source="this project, on the accumulator of (14)",
    relation="tight",
)
TYPES = ("float32", "float16", "bfloat16")


def drift(loop: rec.Recursion, a: np.ndarray, Q: Quantizer, A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ô - A(â) and A(â) of every call, (n+1, trials, outputs) in float64."""
    calls = list(rec.run(loop, a, Q, lambda x: x @ A.T))
    exact = np.stack([state.ref @ A.T for state, _ in calls])
    return np.stack([info.output for _, info in calls]) - exact, exact


def check(
    effort: str = "quick", *, bound=bounds.accumulator_drift, store=bounds.rounded, types: Sequence[str] = TYPES
) -> Evidence:
    """Measure the drift over its bound, for stagnating sums, which attain it, and for random walks."""
    n, trials = (64, 8) if effort == "quick" else (512, 32)
    rng = np.random.default_rng(480)
    ratio, atol, cases = [], [], []
    for dtype in types:
        loop = RoundedLoop(store_out=lambda y, dtype=dtype: store(y, dtype))
        # half an ulp above 1 is a tie and goes to the even 1, at every call; all sums are exact in float64
        still = 1 + bounds.unit_roundoff(dtype) * np.arange(n + 1.0)[:, None, None]
        walk = 10 * rng.standard_normal((1, trials, 4)) + np.cumsum(rng.standard_normal((n + 1, trials, 4)), axis=0)
        worst = Worst.none(n)
        for name, a, Q, A in (
            ("stagnation", still, Identity(), np.eye(1)),
            ("AbsMax(3)", walk, AbsMax(3), rng.standard_normal((3, 4))),
            ("AbsMax(8), few large outputs", walk, AbsMax(8), rng.standard_normal((3, 4)) * [[100], [1], [0.01]]),
        ):
            lost, exact = drift(loop, a, Q, A)
            for norm in ("entries", "max norm", "2-norm"):
                measure = {
                    "entries": lambda v: np.abs(v).reshape(len(v), -1),
                    "max norm": lambda v: np.abs(v).max(axis=-1),
                    "2-norm": lambda v: np.linalg.norm(v, axis=-1),
                }[norm]
                error, o, x = measure(lost), measure(exact), measure(np.diff(exact, axis=0))
                # per call a product and two sums of numbers of at most max|a|·||A||, rounded in float64
                size = np.maximum.accumulate(np.abs(a).max(axis=(1, 2)))[1:, None] * np.abs(A).sum(axis=1).max()
                slack = 8 * len(A.T) * EPS * np.arange(1, n + 1)[:, None] * size * np.ones_like(x)
                worst.add(Errors(error[1:], x, slack, []), bound(o[1:], x, dtype, start=error[0]), f"{name}, {norm}")
        ratio.append(worst.ratio)
        atol.append(worst.atol)
        cases += [f"{dtype}, call {j + 1}: {case}" for j, case in enumerate(worst.case)]
    steps = {t: bounds.steps_until_drift(AbsMax(4).kappa(2), 10.0, t) for t in TYPES}
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=np.concatenate(ratio),
        cases=cases,
        seed=480,
        atol=np.concatenate(atol),
        note="above the 4-bit closed loop's error, for ||o|| = 10·||A||·||d|| and â exact, after "
        + ", ".join(f"{np.ceil(v):.2g} calls in {t}" for t, v in steps.items()),
        everywhere=True,
    )


def chopped(y, dtype):
    """Round towards zero."""
    mantissa, exponent = np.frexp(y)
    p = bounds.SIGNIFICANT_BITS[dtype]
    return np.ldexp(np.trunc(np.ldexp(mantissa, p)), exponent - p)


def only_u(o, x, dtype, *, start=0.0):
    """Return the bound with u|o| instead of the minimum, which is too large where a tie loses exactly |x|."""
    return start + np.cumsum(bounds.unit_roundoff(dtype) * o, axis=0)


CONTROLS = [
    ({"bound": scaled(bounds.accumulator_drift, 0.5)}, Verdict.VIOLATED),
    ({"bound": only_u}, Verdict.VIOLATED),
    ({"store": chopped}, Verdict.VIOLATED),
    ({"store": lambda y, dtype: y}, Verdict.VIOLATED),  # nothing is rounded, so nothing drifts
]
