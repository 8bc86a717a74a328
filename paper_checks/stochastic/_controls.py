"""What the broken variants of the stochastic claims share."""

import numpy as np

from modiff_sim import Stochastic

from ._stochastic import Coin


class Biased(Stochastic):
    """Rounds to nearest half of the time."""

    def quantize(self, blocks, qparams, *, random=None):
        """Return the codes with random numbers from a quarter to three quarters."""
        return super().quantize(blocks, qparams, random=0.25 + 0.5 * random)


class Lopsided(Coin):
    """The coin always falls on the same side, so that it is biased."""

    def quantize(self, blocks, qparams, *, random=None):
        """Return the same outcome whatever the random numbers are."""
        return super().quantize(blocks, qparams, random=np.zeros_like(random))
