"""Where the worst errors of a scheme and of direct quantization cross, from runs that attain both."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import brentq

from modiff_sim import AbsMax, Evidence, Zero, recursion, regimes
from modiff_sim.evidence import Premise

BITS = (2, 3, 4, 8)


def worst_errors(scheme: str, bits: int, rho: float, n: int) -> tuple[float, float, float]:
    """Return the errors of a scheme and of direct after n differences of a sequence that attains both worst cases.

    The third value says by how much its norms are off from ||a|| = 1 and ||d|| = ρ.
    """
    process = regimes.worst_inputs(bits, rho)
    inputs = list(process.stream(np.random.default_rng(0), 1, n + 1))
    Q, name = (Zero(), "closed_loop") if scheme == "cache" else (AbsMax(bits), scheme)
    loop, direct = (list(recursion.run(r, inputs, q))[-1][1] for r, q in ((name, Q), ("direct", AbsMax(bits))))
    a = np.concatenate(inputs)
    off = max(np.abs(np.abs(a).max(axis=1) - 1).max(), np.abs(np.abs(np.diff(a, axis=0)).max(axis=1) - rho).max())
    return float(np.abs(a[-1] - loop.output).max()), float(np.abs(a[-1] - direct.output).max()), float(off)


def crossings(
    effort: str, schemes: Sequence[str], boundary: Callable[..., np.ndarray], run: Callable[..., tuple]
) -> Evidence:
    """Compare ``boundary`` with the measured ρ at which the worst errors of a scheme and of direct are equal."""
    claimed, measured, cases, off = [], [], [], 0.0
    for bits in BITS if effort == "quick" else range(2, 9):
        for n in (1, 2, 5, 24) if effort == "quick" else (1, 2, 3, 5, 10, 24, 100):
            for scheme in schemes:

                def excess(rho: float, scheme=scheme, bits=bits, n=n) -> float:
                    loop, direct, _ = run(scheme, bits, rho, n)
                    return loop - direct

                claimed.append(float(boundary(scheme, "direct", n, AbsMax(bits).kappa(2))))
                crossed = excess(1.0) >= 0  # at n = 1 the loops cross at ρ = 1 itself, the end of the range
                measured.append(float(brentq(excess, 1e-6, 1.0, xtol=1e-12)) if crossed else 1.0)
                off = max(off, run(scheme, bits, min(claimed[-1], 1.0), n)[2])
                cases.append(f"{scheme.replace('_', ' ')}, b = {bits}, n = {n}")
    apart = np.max(np.abs(np.array(measured) / claimed - 1))
    return Evidence(
        claimed,
        measured,
        cases=cases,
        # worst_inputs stays away from a tie by 1e-9 of it; at 2 bits the closed loop's errors add up to twice that
        atol=1e-8,
        premises=(Premise("||a||_∞ = 1, ||d||_∞ = ρ", off <= 1e-12, f"off by {off:.2g}"),),
        note=f"{len(cases)} crossings at ρ = {min(measured):.2g} to {max(measured):.2g}, off by {apart:.1g} at most",
    )
