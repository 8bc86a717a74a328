"""Warm-up with a static scale: it takes as long as the input is large, and stops at half a step."""

import numpy as np

from modiff_sim import Claim, Evidence, Static, Verdict, bounds

from . import _restarts

ORDER = 7
CLAIM = Claim(
    id="warm_up_static",
    statement="With a static scale s, m repeated inputs leave max(s/2, ||a_T||_∞ - m·qmax·s): s/2 is reached after "
    "⌈(||a_T||_∞/s-½)/qmax⌉ of them and remains, however many follow (largest error over inputs of this size).",
    source="this project, on the paper's warm-up",
    relation="tight",
)


def static(bits: int) -> Static:
    """Return a static scale that is a power of two, so that floats are exact."""
    return Static(bits, scale=0.25)


def check(
    effort: str = "quick",
    *,
    recursion="closed_loop",
    quantizer=static,
    bound=bounds.static_closed_loop,
    feeds=bounds.static_feeds,
) -> Evidence:
    """Measure errors on (M, s/2), the worst input of size M, and on random ones. A constant input is one fed again."""
    rng = np.random.default_rng(430)
    sizes = np.array([0.125, 0.25, 0.375, 1, 3.5, 10, 31.25] if effort == "quick" else np.arange(1, 256, 6) / 8)
    claimed, measured, cases = [], [], []
    for bits in (2, 3, 4):
        Q = quantizer(bits)
        for size in sizes:
            inputs = np.concatenate([np.array([[size, Q.scale / 2]]), size * rng.integers(-8, 9, (64, 2)) / 8])
            calls = int(size / Q.scale / Q.qmax) + 4
            error, _ = _restarts.errors(recursion, np.repeat(inputs[None], calls, 0), Q, order=np.inf, warmup=1)
            largest = error.max(axis=1)
            # feeding is a closed loop whose differences are 0 and whose first error is a_T; entries below s/2 are lost
            after = bound(np.zeros(len(largest)), Q.scale, bits, start=max(size, Q.scale / 2))
            claimed += [*after, feeds(size, Q.scale, bits)]
            measured += [*largest, int(np.sum(largest > Q.scale / 2) + (size > Q.scale / 2))]
            cases += [f"b = {bits}, ||a|| = {size:g}, m = {m + 1}" for m in range(len(largest))]
            cases.append(f"b = {bits}, ||a|| = {size:g}, feeds until s/2")
    return Evidence(
        claimed=claimed,
        measured=measured,
        cases=cases,
        seed=430,
        note=f"s/2 = {Q.scale / 2:g} remains; ||a|| = {sizes[-1]:g} takes "
        + ", ".join(f"{feeds(sizes[-1], Q.scale, b):g}" for b in (2, 3, 4))
        + " feeds at 2, 3, 4 bits",
        everywhere=True,
    )


CONTROLS = [
    ({"feeds": lambda *a: bounds.static_feeds(*a) + 1}, Verdict.VIOLATED),
    ({"recursion": "open_loop"}, Verdict.VIOLATED),
    ({"bound": lambda d, *rest, start: 0.5 * bounds.static_closed_loop(d, *rest, start=start)}, Verdict.VIOLATED),
]
