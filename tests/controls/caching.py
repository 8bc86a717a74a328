"""Controls of the claims on skipping by a threshold: wrong loops, wrong limits."""

from test_recursion import Dropped, Flipped  # stale state; feedback with the wrong sign

from modiff_sim import Verdict, bounds

from .paper import scaled

VIOLATED = Verdict.VIOLATED


def only_the_threshold(d, contraction, tau, ref):
    """A skipped residual forgotten: the quantizer's error alone."""
    return bounds.skipped_closed_loop(d, contraction, 0.0, ref)


CONTROLS = [
    ("threshold_closed_loop", {"recursion": "open_loop"}, VIOLATED),
    ("threshold_closed_loop", {"recursion": Dropped()}, VIOLATED),
    ("threshold_closed_loop", {"recursion": Flipped()}, VIOLATED),
    ("threshold_closed_loop", {"used": 1.1}, VIOLATED),
    ("threshold_closed_loop", {"bound": scaled(bounds.skipped_closed_loop, 0.9)}, VIOLATED),
    ("threshold_closed_loop", {"bound": scaled(bounds.skipped_closed_loop, 1.1)}, VIOLATED),  # true, and not attained
    ("threshold_closed_loop", {"bound": only_the_threshold}, VIOLATED),
    ("threshold_open_loop_loses", {"recursions": ("closed_loop", "closed_loop")}, VIOLATED),
    ("threshold_open_loop_loses", {"recursions": ("open_loop", "open_loop")}, VIOLATED),
    ("threshold_open_loop_loses", {"recursions": ("open_loop", Dropped())}, VIOLATED),
    ("threshold_open_loop_loses", {"tau_used": 4.0}, VIOLATED),
]
