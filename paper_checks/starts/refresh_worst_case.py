"""The worst error between refreshes."""

from functools import partial

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, bounds

from .. import _shared
from . import _restarts

ORDER = 3
CLAIM = Claim(
    id="refresh_worst_case",
    statement="Refreshed in full precision every k calls, the largest max-norm error is κ(1-κ^(k-1))/(1-κ)·max||d||_∞ "
    "with compensation and (k-1)κ·max||d||_∞ without. With compensation a refresh gains at most the factor 1-κ^(k-1) "
    "between refreshes (largest error; and 0: the worst run's distance from the bound at any call).",
    source="this project; the official code refreshes 11 of 100 calls",
    relation="tight",
)


def check(
    effort: str = "quick",
    *,
    recursions=("closed_loop", "open_loop"),
    formula=bounds.refresh_worst_case,
    wrapper=bounds.refreshed,
    late: int = 0,
) -> Evidence:
    """Compare the formula with the largest error between refreshes.

    ``refreshed`` must meet the worst run at *every* call, so that its largest deviation is 0. The recursion refreshes
    every k + ``late`` calls.
    """
    n = 25 if effort == "quick" else 49
    claimed, measured, atol, cases = [], [], [], []
    for bits in (2, 3, 4):
        Q, kappa = AbsMax(bits), AbsMax(bits).kappa(2)
        ties = np.arange(n)[:, None, None] * np.array([2.0 * Q.qmax, 1.0])  # of size 2·qmax, where a tie is exact
        for every in (1, 2, 3, 5, 8):
            run_every = every + late
            worst = _restarts.worst_inputs(bits, n, refresh=run_every)
            for kind, recursion, bound, inputs, size in (
                ("closed_loop", recursions[0], bounds.max_norm_closed_loop, worst, 1.0),
                ("open_loop", recursions[1], bounds.max_norm_open_loop, ties, 2.0 * Q.qmax),
            ):
                error, slack = _restarts.errors(recursion, inputs, Q, order=np.inf, refresh=run_every)
                claimed += [formula(every, kappa, recursion=kind, size=size), 0.0]
                by_call = wrapper(partial(bound, kappa=kappa), np.full((n - 1, 1), size), every)
                measured += [error.max(), np.abs(error[1:] - by_call).max()]
                atol += [slack.max() + 4 * n * _shared.EPS] * 2
                case = f"{_shared.label(Q)}, {kind}, every {every} calls"
                cases += [case, f"{case}, largest deviation at any call"]
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        atol=atol,
        seed=0,
        note=f"over {n} calls; at 3 bits a refresh every 5 calls gains the closed loop {100 / 6**4:.2g} %",
        everywhere=True,
    )


def exponent(by):
    """Return the geometric sum between refreshes with k - 1 + by terms."""
    return lambda every, *rest, **options: bounds.refresh_worst_case(max(every + by, 1), *rest, **options)


CONTROLS = [
    ({"formula": exponent(-1)}, Verdict.VIOLATED),
    ({"formula": exponent(1)}, Verdict.VIOLATED),
    ({"recursions": ("open_loop", "open_loop")}, Verdict.VIOLATED),
    ({"wrapper": lambda bound, d, refresh: bound(d)}, Verdict.VIOLATED),  # no refresh
    ({"late": 1}, Verdict.VIOLATED),
]
