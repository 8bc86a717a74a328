"""What the broken variants of the claims against exact truth share: networks with one error each."""

import numpy as np

from modiff_sim.diffusion.denoisers import MixtureDenoiser


class NoNorms(MixtureDenoiser):
    """Forgets the ||μ_k||² of the logits."""

    def shift(self, alpha_bar):
        """Return the bias of the logits without the norms."""
        return np.log(self.mixture.w)


def unweighted(mixture, schedule):
    """Return the denoiser that takes all modes for equally likely. It converges, but to another distribution."""
    return MixtureDenoiser(type(mixture)(mixture.means, mixture.sigma), schedule)
