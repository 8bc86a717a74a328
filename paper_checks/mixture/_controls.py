"""What the broken variants of the claims against exact truth share: networks that are wrong in one way."""

import numpy as np

from modiff_sim.diffusion.denoisers import MixtureDenoiser


class NoNorms(MixtureDenoiser):
    """Forgets the ||μ_k||² of the logits."""

    def shift(self, alpha_bar):
        return np.log(self.mixture.w)


def unweighted(mixture, schedule):
    """Takes all modes for equally likely: converges, to another distribution."""
    return MixtureDenoiser(type(mixture)(mixture.means, mixture.sigma), schedule)
