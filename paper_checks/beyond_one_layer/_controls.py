"""What the broken variants of the claims on static scales share."""

import numpy as np

from modiff_sim import Static


class Floored(Static):
    """Floor for round."""

    def quantize(self, blocks, qparams, *, random=None):
        return np.clip(np.floor(blocks / qparams.scale), -(self.qmax + 1), self.qmax)
