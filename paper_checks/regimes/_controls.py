"""Broken variants of the crossings of worst cases: moved boundaries, exchanged loops, inputs of another size."""

from modiff_sim import AbsMax, Zero, recursion, regimes

from ._crossings import worst_errors


def halved_contraction(scheme, other, n, contraction, **options):
    """Return the boundary at half of the contraction."""
    return regimes.boundary(scheme, other, n, contraction / 2, **options)


def one_difference_more(scheme, other, n, contraction, **options):
    """Return the boundary with an exponent that is off by one."""
    return regimes.boundary(scheme, other, n + 1, contraction, **options)


def wrong(R):
    """Return a function that measures worst errors with a broken loop in the place of the closed or open one."""

    def run(scheme, bits, rho, n):
        _, direct, off = worst_errors(scheme, bits, rho, n)
        inputs = list(regimes.worst_inputs(bits, rho).stream(None, 1, n + 1))
        *_, (_, last) = recursion.run(R, inputs, Zero() if scheme == "cache" else AbsMax(bits))
        return float(abs(inputs[-1] - last.output).max()), direct, off

    return run


def moving(scheme, bits, rho, n):
    """Measure on inputs whose size is not that of the boundary."""
    loop, direct, off = worst_errors(scheme, bits, rho, n)
    return loop, direct, off + 1e-6
