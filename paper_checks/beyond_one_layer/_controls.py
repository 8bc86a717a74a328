"""What the broken variants of the claims on static scales share."""

import numpy as np

from modiff_sim import Static


class Floored(Static):
    """Rounds down instead of to nearest."""

    def quantize(self, blocks, qparams, *, random=None):
        """Return the codes, rounded down."""
        return np.clip(np.floor(blocks / qparams.scale), -(self.qmax + 1), self.qmax)
