"""Where 0 bits are enough."""

import numpy as np

from modiff_sim import AbsMax, Claim, Evidence, Verdict, Zero, processes, regimes, simulate

ORDER = 4
CLAIM = Claim(
    id="caching_is_zero_bits_regime",
    statement="Quantizing residuals with 0 bits stays within τ||a|| while nρ ≤ τ, and no longer if the input drifts in "
    "one direction; with a refresh every ⌊τ/ρ⌋+1 calls it does for ever (length of the longest run within τ).",
    source="this project, on Remark 4.1",
    relation="equal",
)
TOLERANCES = (1 / 32, 3 / 64, 1 / 8)
#: binary fractions, so that nothing is rounded and nρ = τ can be met exactly
RATIOS = (1 / 512, 3 / 1024, 1 / 16)


def drift(rho: float, steps: int, signs: np.ndarray) -> processes.Process:
    """Make a process with ||a_k||_∞ = 1, held by one entry, while another moves by ±ρ at each call."""
    moving = np.concatenate([np.zeros_like(signs[:1]), np.cumsum(rho * signs, axis=0)])
    return processes.recorded(np.stack([np.ones_like(moving), moving], axis=-1))


def check(effort: str = "quick", *, longest_run=regimes.longest_run, quantizer=Zero) -> Evidence:
    """Compare the longest run with the number of calls that the cache stays within the tolerance."""
    steps = 72 if effort == "quick" else 200
    rng = np.random.default_rng(720)
    claimed, measured, cases = [], [], []
    for tolerance in TOLERANCES:
        for rho in RATIOS:
            run = int(longest_run("cache", rho, tolerance, 1.0))
            signs = rng.choice([-1.0, 1.0], (steps, 4))
            signs[:, 0] = 1.0
            process = drift(rho, steps, signs)
            options = {"steps": steps + 1, "trials": 4, "workers": 1}
            out = simulate(process, quantizer(), **options)
            within = np.logical_and.accumulate(out.error_inf <= tolerance * out.a_inf, axis=0).sum(axis=0) - 1
            refreshed = simulate(process, quantizer(), refresh=run + 1, **options)
            late = simulate(process, quantizer(), refresh=run + 2, **options)
            for what, found in (
                ("one direction", within[0]),
                ("any signs: not sooner", min(run, within.min())),
                ("refreshed", run if np.all(refreshed.error_inf <= tolerance) else -1),
                ("refreshed one call later: too late", run if np.any(late.error_inf > tolerance) else -1),
            ):
                claimed.append(run)
                measured.append(int(found))
                cases.append(f"τ = {tolerance:g}, ρ = {rho:g}, {what}")
    return Evidence(
        claimed,
        measured,
        cases=cases,
        seed=720,
        params={"steps": steps},
        note=f"{len(cases)} runs of 0 to {max(claimed)} differences, all as long as ⌊τ/ρ⌋",
    )


def longer(*args, **options):
    """Return a run that is longer by one call."""
    return regimes.longest_run(*args, **options) + 1


def typical_run(scheme, rho, tolerance, contraction):
    """Return the run of the typical reading."""
    return regimes.longest_run(scheme, rho, tolerance, contraction, reading="typical")


CONTROLS = [
    ({"quantizer": lambda: AbsMax(2)}, Verdict.VIOLATED),
    ({"longest_run": longer}, Verdict.VIOLATED),
    ({"longest_run": typical_run}, Verdict.VIOLATED),
]
