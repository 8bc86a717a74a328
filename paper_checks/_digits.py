"""What the practice claims share: the words for the stand-in, and ratios of quality with their premises."""

from __future__ import annotations

from collections.abc import Sequence

from modiff_sim import Evidence

STAND_IN = "On the digits model (8×8, a stand-in for the paper's CIFAR-10 and LSUN models)"
ENOUGH = 1024  # images; at 256 a Fréchet distance varies by a factor of two


def too_few(effort: str) -> Evidence | None:
    """Return NOT_RUN evidence where this effort samples too few images for a Fréchet distance, else None."""
    from analysis.experiments.sizes import effort_of

    n = effort_of(effort).n_key
    if n >= ENOUGH:
        return None
    return Evidence(
        not_run=f"{n} images at effort {effort}; Fréchet distances need {ENOUGH}: EFFORT=full", deferred=True
    )


def frechet_ratios(pairs: Sequence[tuple], effort: str, *, claimed: float, fine: bool = False) -> Evidence:
    """Compare the Fréchet distances of each pair of arms, first over second, with a paired bootstrap interval.

    ``fine`` takes n_fine images, for arms so close that n_key images would not decide.
    """
    from analysis import metrics
    from analysis.experiments import digits as experiments
    from analysis.experiments.sizes import effort_of

    if (missing := too_few(effort)) is not None:
        return missing
    n = effort_of(effort).n_fine if fine else effort_of(effort).n_key
    ratio, low, high, cases = [], [], [], []
    for arm, base in pairs:
        found = experiments.quality(arm, effort, n, base=base, resamples=400)
        ratio.append(found.ratio)
        low.append(found.low)
        high.append(found.high)
        cases.append(f"{arm.label} {found.arm:.2f} / {base.label} {found.full:.2f} [{found.low:.3f}, {found.high:.3f}]")
    params = {
        "n": n,
        "steps": effort_of(effort).steps,
        "sampler": "ddim",
        "features": metrics.EXTRACTORS["digits"].name,
    }
    return Evidence(claimed, ratio, low=low, high=high, cases=cases, params=params, seed=0, note="; ".join(cases))
