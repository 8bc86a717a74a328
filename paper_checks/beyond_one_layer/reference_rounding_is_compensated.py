"""â may be stored in a short float type: its rounding is quantization error like any other."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, bounds
from modiff_sim import recursion as rec

from .._beyond import RoundedLoop
from .._shared import EPS, Errors, Shrink, Worst

ORDER = 8
CLAIM = Claim(
    id="reference_rounding_is_compensated",
    statement="Rounding of the stored â is compensated: E_j = κ(||d_j||+E_{j-1}) + ρ_j, at most (κ||d||+ρ)/(1-κ) for "
    "ever, provided ô is updated with A(â_new - â_old) of the stored â; attained at every call (error over bound).",
    source="this project, on the stored state of (13)-(14)",
    relation="tight",
)


def check(effort: str = "quick", *, bound=bounds.stored_reference, telescoping: bool = True) -> Evidence:
    """Q(x) = (1-κ)x, differences of one sign and a store that is always too low by ρ = 1/8 attain the bound."""
    n, trials = (96, 8) if effort == "quick" else (1000, 32)
    rng = np.random.default_rng(482)
    A = rng.standard_normal((3, 4))
    gain = float(np.abs(A).sum(axis=1).max())
    a = 8 * rng.standard_normal((1, trials, 4)) + np.cumsum(rng.standard_normal((n + 1, trials, 4)), axis=0)
    line = np.cumsum(rng.lognormal(size=n + 1))[:, None, None]
    ratio, atol, cases = [], [], []
    for bits in (2, 3, 4, 8):
        kappa, worst = AbsMax(bits).kappa(4), Worst.none(n)
        stores = {t: (lambda y, t=t: bounds.rounded(y, t)) for t in ("float16", "bfloat16")}
        for name, inputs, Q, M, norm, store, rho in (
            ("a store below by 1/8", line, Shrink(contraction=kappa**2), np.eye(1), 1.0, lambda y: y - 0.125, 0.125),
            *((f"AbsMax in {t}", a, AbsMax(bits), A, gain, f, None) for t, f in stores.items()),
        ):
            kept = RoundedLoop(store_ref=store, telescoping=telescoping)
            calls = list(rec.run(kept, inputs, Q, lambda x, M=M: x @ M.T))
            error = np.stack([np.abs(x @ M.T - s.output).max(axis=-1) for x, (_, s) in zip(inputs, calls, strict=True)])
            start = np.abs(inputs[0] - calls[0][0].ref).max(axis=-1)
            d = np.abs(np.diff(inputs, axis=0)).max(axis=-1)
            if rho is None:  # u·|stored â|, for the type in question
                u = bounds.unit_roundoff(name.split()[-1])
                lost = u * np.stack([np.abs(s.ref).max(axis=-1) for s, _ in calls[1:]])
            else:
                lost = np.full_like(d, rho)
            # per call a product and a few sums of numbers of the size of a, rounded in float64
            size = np.maximum.accumulate(np.abs(inputs).max(axis=(1, 2)))[1:, None] * norm
            slack = 8 * len(M.T) * EPS * np.arange(1, n + 1)[:, None] * size * np.ones_like(d)
            worst.add(Errors(error[1:], d, slack, []), bound(d, kappa, lost, gain=norm, start=start), name)
        ratio.append(worst.ratio)
        atol.append(worst.atol)
        cases += [f"b = {bits}, call {j + 1}: {case}" for j, case in enumerate(worst.case)]
    return Evidence(
        claimed=np.ones(len(cases)),
        measured=np.concatenate(ratio),
        cases=cases,
        seed=482,
        atol=np.concatenate(atol),
        note=f"{n} calls with â in float16 and bfloat16",
        everywhere=True,
    )


CONTROLS = [
    ({"telescoping": False}, Verdict.VIOLATED),
    ({"bound": lambda d, kappa, rho, **o: bounds.max_norm_closed_loop(d, kappa, **o)}, Verdict.VIOLATED),
    ({"bound": lambda d, kappa, rho, **o: bounds.stored_reference(d, kappa, kappa * rho, **o)}, Verdict.VIOLATED),
]
