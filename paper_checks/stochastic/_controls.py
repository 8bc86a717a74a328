"""What the broken variants of the stochastic claims share."""

import numpy as np

from modiff_sim import Stochastic

from ._stochastic import Coin


class Biased(Stochastic):
    """Rounds to nearest half of the time."""

    def quantize(self, blocks, qparams, *, random=None):
        return super().quantize(blocks, qparams, random=0.25 + 0.5 * random)


class Lopsided(Coin):
    """The coin always falls on one side: not unbiased."""

    def quantize(self, blocks, qparams, *, random=None):
        return super().quantize(blocks, qparams, random=np.zeros_like(random))
