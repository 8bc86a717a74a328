"""Do features change faster at the start or at the end of sampling, and what does that do to the closed loop?"""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, bounds, processes, simulate
from modiff_sim.simulation.driver import Result

from .._digits import STAND_IN
from ._recorded import SIZES

ORDER = 7
CLAIM = Claim(
    id="features_change_late",
    statement=f"{STAND_IN}: with DDIM and uniform timesteps the input of every recorded layer changes more per call in "
    "the second half of sampling than in the first (mean of ||a_t - a_(t+1)||/||a_t||, ratio at least 1). The closed "
    "loop's relative error at 3 bits grows with it (mean of ||a_t - â_t||/||a_t||, ratio at least 1), as it follows "
    "the latest differences: at every call it is at least half of its bound Σ κ^(age+1) ||d||_inf.",
    source="the summary's question",
    relation="lower",
    topic="practice",
)
HALF = 0.5


def simulated(effort: str, recursion, Q: AbsMax, spacing: str) -> tuple[dict[str, Result], np.ndarray]:
    """Return layer -> its simulation on recorded inputs, and the calls whose timestep is another than the last one's.

    Quadratic timesteps repeat some, between which nothing changes.
    """
    from analysis.experiments.recordings import layer_inputs
    from modiff_sim.diffusion.schedules import linear

    steps, images = SIZES[effort]
    moved = np.flatnonzero(np.diff(linear().spaced(steps, spacing=spacing).timesteps) != 0) + 1
    inputs = layer_inputs(effort, steps=steps, images=images, spacing=spacing)
    return {
        name: simulate(processes.recorded(a), Q, recursion, steps=len(a), trials=a.shape[1], workers=1)
        for name, a in inputs.items()
    }, moved


def late_over_early(relative: np.ndarray, *, level: float) -> tuple[float, float, float]:
    """Return the ratio of the second half of the calls to the first with its interval over the images.

    It is the geometric mean of the images' ratios of means; the interval is Student's, of their logarithms.
    """
    from scipy.special import stdtrit

    half = len(relative) // 2
    logs = np.log(relative[half:].mean(axis=0) / relative[:half].mean(axis=0))
    width = stdtrit(len(logs) - 1, 0.5 + level / 2) * logs.std(ddof=1) / np.sqrt(len(logs))
    return tuple(np.exp(logs.mean() + np.array([0, -width, width])).tolist())


def check(
    effort: str = "quick", *, bits: int = 3, recursion="closed_loop", spacing: str = "uniform", share: float = HALF
) -> Evidence:
    """Compare the halves of the run, layer by layer; the note has quadratic timesteps and direct quantization."""
    Q = AbsMax(bits)
    done, moved = simulated(effort, recursion, Q, spacing)
    level = 1 - 0.05 / (2 * len(done))
    ratios = [late_over_early((r.d / r.a)[moved], level=level) for r in done.values()]
    ratios += [late_over_early((r.error / r.a)[moved], level=level) for r in done.values()]
    least = [
        float(np.min(r.error_inf[moved] / bounds.max_norm_closed_loop(r.d_inf[1:], Q.kappa(2))[moved - 1]))
        for r in done.values()
    ]
    claimed = np.array([1.0] * len(ratios) + [share] * len(least))
    measured, low, high = np.array([*ratios, *((x, x, x) for x in least)]).T
    quad, unequal = simulated(effort, recursion, Q, "quad")
    direct, _ = simulated(effort, "direct", Q, spacing)
    others = {
        "of the changes with quadratic timesteps": [
            late_over_early((r.d / r.a)[unequal], level=level)[0] for r in quad.values()
        ],
        "of direct's error": [late_over_early((r.error / r.a)[moved], level=level)[0] for r in direct.values()],
    }
    shown = {"of the changes": measured[: len(done)], "of the error": measured[len(done) : 2 * len(done)], **others}
    steps, images = SIZES[effort]
    return Evidence(
        claimed=claimed,
        measured=measured,
        low=low,
        high=high,
        cases=[f"{what}, {name}" for what in ("changes", "error", "error over bound") for name in done],
        seed=0,
        params={"calls": steps, "images": images, "sampler": "ddim", "spacing": spacing, "bits": bits},
        note="second half over first, smallest and largest of the layers: "
        + "; ".join(f"{what} {min(x):.2f} to {max(x):.2f}" for what, x in shown.items())
        + f"; error over bound at least {min(least):.2f}",
    )
