"""Fig. 1b: the temporal differences are "more than 10× smaller" than the activations."""

import numpy as np

from modiff_sim.evidence import Claim, Evidence, Verdict

from ._digits import STAND_IN

ORDER = 30
CLAIM = Claim(
    id="differences_ten_times_smaller",
    statement=f"{STAND_IN}: the range of a_t is more than 10 times that of a_t - a_(t+1), in the median over "
    "layers and steps (ratio of maximum absolute values).",
    source="section 4, Fig. 1b",
    relation="lower",
    topic="practice",
    printed=True,
    expected=Verdict.VIOLATED,
)


def check(effort: str = "quick", *, factor: float = 10.0) -> Evidence:
    from analysis.experiments import distributions

    seen = distributions(effort)
    # constant differences (a layer whose input does not depend on the step) have no ratio
    d, a = seen["absmax_d"][:, 1:], seen["absmax_a"][:, 1:]
    ratio = np.where(d > 0, a / np.where(d > 0, d, 1), np.nan)
    rng = np.random.default_rng(0)
    layers = rng.integers(0, len(ratio), (1000, len(ratio)))
    low, high = np.quantile([np.nanmedian(ratio[rows]) for rows in layers], [0.025, 0.975])
    steps = np.nanmedian(ratio, axis=0)
    note = f"median {np.nanmedian(ratio):.1f}; by step from {steps.min():.1f} to {steps.max():.1f}"
    return Evidence(
        claimed=factor, measured=np.nanmedian(ratio), low=low, high=high, seed=0, note=note, cases=note,
        params={"layers": len(ratio), "steps": ratio.shape[1] + 1, "interval": "bootstrap over layers"},
    )  # fmt: skip
