"""Whether the differences of a trained model's layers have fewer outliers than its inputs, or are only smaller."""

import numpy as np

from modiff_sim import Claim, Evidence

from .._digits import STAND_IN

CALLS, IMAGES = {"quick": 125, "full": 250}, 6
CLAIM = Claim(
    id="differences_have_tails_too",
    statement=f"{STAND_IN}: differences have outliers as inputs have. In every recorded layer the largest entry over "
    "the RMS of the entries is the same for a_t - a_(t+1) as for a_t within a factor 1.5 (mean over the calls of DDIM "
    "with uniform timesteps, the larger of ratio and inverse): their scale is smaller because they are smaller, and "
    "not because they have lighter tails.",
    source="the summary's question",
    relation="upper",
    topic="practice",
)


def peak(x: np.ndarray) -> np.ndarray:
    """Return the largest entry over the RMS of the entries, geometric mean over the calls, (images,)."""
    largest, rms = np.abs(x).max(axis=-1), np.sqrt(np.mean(np.square(x), axis=-1))
    return np.exp(np.mean(np.log(largest / rms), axis=0))


def check(effort: str = "quick", *, factor: float = 1.5) -> Evidence:
    """Compare the shapes of inputs and differences per layer, with Student's intervals over the images."""
    from scipy.special import stdtrit

    from analysis.experiments.recordings import layer_inputs

    inputs = layer_inputs(effort, steps=CALLS[effort], images=IMAGES, spacing="uniform")
    level = 1 - 0.05 / len(inputs)  # jointly
    ends, shown = [], []
    for name, recorded in inputs.items():
        a = recorded.astype(np.float64)
        d, late = np.diff(a, axis=0), a[1:]
        logs = np.log(peak(d) / peak(late))
        width = stdtrit(len(logs) - 1, 0.5 + level / 2) * logs.std(ddof=1) / np.sqrt(len(logs))
        smaller = np.median(np.abs(late).max(axis=-1) / np.abs(d).max(axis=-1))
        sign = 1 if logs.mean() >= 0 else -1
        ends.append(np.exp(sign * logs.mean() + np.array([0, -width, width])))
        shown.append(f"{name}: {peak(late).mean():.1f} and {peak(d).mean():.1f}, {smaller:.0f} times smaller")
    measured, low, high = np.array(ends).T
    return Evidence(
        claimed=factor,
        measured=measured,
        low=low,
        high=high,
        cases=list(inputs),
        seed=0,
        params={"calls": CALLS[effort], "images": IMAGES, "sampler": "ddim", "spacing": "uniform"},
        note="largest entry over RMS of inputs and differences, and the ratio of their largest entries (median): "
        + "; ".join(shown),
    )
