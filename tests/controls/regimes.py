"""Controls of the claims about where each scheme wins: boundaries moved, recursions exchanged, premises broken."""

from test_recursion import Dropped, Flipped

import modiff_sim as ms
from modiff_sim import Verdict, recursion, regimes
from paper_checks.regimes_closed_beats_direct import worst_errors
from paper_checks.regimes_typical_boundaries import normal_c

VIOLATED, PREMISE_FAILS = Verdict.VIOLATED, Verdict.PREMISE_FAILS


def halved_contraction(scheme, other, n, contraction, **options):
    return regimes.boundary(scheme, other, n, contraction / 2, **options)


def one_difference_more(scheme, other, n, contraction, **options):
    """Exponent off by one."""
    return regimes.boundary(scheme, other, n + 1, contraction, **options)


def wrong(R):
    """Worst-case errors with a broken loop in the place of the closed or open one."""

    def run(scheme, bits, rho, n):
        _, direct, off = worst_errors(scheme, bits, rho, n)
        inputs = list(regimes.worst_inputs(bits, rho).stream(None, 1, n + 1))
        *_, last = recursion.run(R, inputs, ms.Zero() if scheme == "cache" else ms.AbsMax(bits))
        return float(abs(inputs[-1] - last.o_hat).max()), direct, off

    return run


def moving(scheme, bits, rho, n):
    """Inputs whose size is not what the boundary is about."""
    loop, direct, off = worst_errors(scheme, bits, rho, n)
    return loop, direct, off + 1e-6


def longer(*args, **options):
    return regimes.longest_run(*args, **options) + 1


def typical_run(scheme, rho, tolerance, contraction):
    return regimes.longest_run(scheme, rho, tolerance, contraction, reading="typical")


CONTROLS = [
    *(("regimes_closed_beats_direct", {"boundary": b}, VIOLATED) for b in (halved_contraction, one_difference_more)),
    *(("regimes_closed_beats_direct", {"run": wrong(R)}, VIOLATED) for R in ("open_loop", Dropped(), Flipped())),
    ("regimes_closed_beats_direct", {"run": moving}, PREMISE_FAILS),
    ("regimes_open_and_cache", {"boundary": one_difference_more}, VIOLATED),
    ("regimes_open_and_cache", {"boundary": halved_contraction}, VIOLATED),  # of the cache: κ/n
    ("regimes_open_and_cache", {"run": wrong("closed_loop")}, VIOLATED),
    ("regimes_open_and_cache", {"run": moving}, PREMISE_FAILS),
    ("regimes_typical_boundaries", {"reading": "worst"}, VIOLATED),
    ("regimes_typical_boundaries", {"contraction": lambda Q: 3 * normal_c(Q)}, VIOLATED),
    ("regimes_typical_boundaries", {"loops": ("open_loop", "closed_loop")}, VIOLATED),
    ("regimes_typical_boundaries", {"quantizers": (ms.Floor(3),)}, VIOLATED),  # biased: its errors do not average out
    ("caching_is_zero_bits_regime", {"quantizer": lambda: ms.AbsMax(2)}, VIOLATED),
    ("caching_is_zero_bits_regime", {"longest_run": longer}, VIOLATED),
    ("caching_is_zero_bits_regime", {"longest_run": typical_run}, VIOLATED),
]
