"""Transfers with one error each: broken variants of what predicts errors."""

from dataclasses import replace

import numpy as np


def halved(transfer):
    """Return the transfer with half of the gain from any layer to the output."""
    return replace(transfer, output=transfer.output / 4)


def no_sampler(transfer):
    """Return the transfer of an x that forgets: an error of ε̂ is in the next x only."""
    kept = np.zeros_like(transfer.impulse)
    calls = np.arange(len(kept))
    kept[calls, calls + 1] = transfer.impulse[calls, calls + 1]
    return replace(transfer, impulse=kept)


def never_aligned(transfer):
    """Return the transfer in which lasting errors do not add up in amplitude."""
    return replace(transfer, alignment=0.0)


def wrong_sign(transfer):
    """Return the transfer in which what comes back is subtracted from the energy of the residual."""
    return replace(transfer, upstream=-transfer.upstream, moved=-transfer.moved)


BROKEN = (halved, no_sampler, never_aligned, wrong_sign)
