"""Transfers that are wrong in one way: broken variants of what predicts errors."""

from dataclasses import replace

import numpy as np


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
