"""Controls of the claims on predicted errors: transfers that are wrong in one way, and theories without one term."""

from dataclasses import replace

import numpy as np

from modiff_sim import Verdict


def halved(transfer):
    """Half the gain from any layer to the output."""
    return replace(transfer, output=transfer.output / 4)


def no_sampler(transfer):
    """x forgets: an error of ε̂ is in the next x alone."""
    kept = np.zeros_like(transfer.impulse)
    calls = np.arange(len(kept))
    kept[calls, calls + 1] = transfer.impulse[calls, calls + 1]
    return replace(transfer, impulse=kept)


def never_aligned(transfer):
    """Errors that stay do not add up in amplitude."""
    return replace(transfer, alignment=0.0)


def wrong_sign(transfer):
    """What comes back is taken off the residual's energy."""
    return replace(transfer, upstream=-transfer.upstream, moved=-transfer.moved)


BROKEN = (halved, no_sampler, never_aligned, wrong_sign)
CONTROLS = [
    *((name, {"change": change}, Verdict.VIOLATED)
      for name in ("predicted_error_mixture", "predicted_cliff_mixture") for change in BROKEN),
    ("predicted_error_mixture", {"feedback": False}, Verdict.VIOLATED),
]  # fmt: skip
