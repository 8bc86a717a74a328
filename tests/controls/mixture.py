"""Controls of the claims against exact truth: a whole sampler on a Gaussian mixture."""

from dataclasses import replace

import numpy as np

from modiff_sim import Verdict, bounds
from modiff_sim.diffusion.denoisers import Linear, MixtureDenoiser
from modiff_sim.diffusion.mixture_sampling import injected_variance
from modiff_sim.diffusion.samplers import SAMPLERS

from .paper import Dropped, Flipped, halved

VIOLATED = Verdict.VIOLATED


class NoNorms(MixtureDenoiser):
    """Forgets the ||μ_k||² of the logits."""

    def shift(self, alpha_bar):
        return np.log(self.mixture.w)


def bias_twice(mixture, schedule):
    return MixtureDenoiser(mixture, schedule, lambda layer, a: 2 * layer.affine(a) - layer.linear(a))


def no_bias(mixture, schedule):
    return MixtureDenoiser(mixture, schedule, Linear.linear)


def unweighted(mixture, schedule):
    """Takes all modes for equally likely: converges, to another distribution."""
    return MixtureDenoiser(type(mixture)(mixture.means, mixture.sigma), schedule)


def declared(name, **changes):
    """All samplers, one of them changed."""
    return SAMPLERS | {name: replace(SAMPLERS[name], **changes)}


CONTROLS = [
    *(("exact_denoiser", {"network": network}, VIOLATED) for network in (NoNorms, bias_twice, no_bias, unweighted)),
    *(("mixture_ddim_order", {"network": network}, VIOLATED) for network in (NoNorms, unweighted)),
    ("sampler_orders", {"samplers": declared("pndm", order=4)}, VIOLATED),
    ("sampler_orders", {"samplers": declared("heun", function=SAMPLERS["euler"].function)}, VIOLATED),
    ("mixture_closed_beats_direct", {"ours": "open_loop"}, VIOLATED),
    ("mixture_closed_beats_direct", {"ours": "direct", "theirs": "closed_loop"}, VIOLATED),
    ("mixture_closed_beats_direct", {"ours": Dropped()}, VIOLATED),
    ("mixture_cliff", {"recursions": ("direct", "open_loop", "open_loop")}, VIOLATED),
    ("mixture_cliff", {"recursions": ("closed_loop", "open_loop", "closed_loop")}, VIOLATED),
    ("mixture_cliff", {"recursions": ("direct", "open_loop", Flipped())}, VIOLATED),
    ("mixture_few_steps", {"few": 50, "many": 100}, VIOLATED),
    ("mixture_few_steps", {"few": 5, "many": 10}, VIOLATED),
    ("mixture_few_steps", {"ours": "open_loop", "many": 50}, VIOLATED),
    ("mixture_ddpm_noise_floor", {"sampler": "ddim", "ladder": (20,)}, VIOLATED),
    ("mixture_ddpm_noise_floor", {"variance": lambda s: 2 * injected_variance(s), "ladder": (50,)}, VIOLATED),
    ("mixture_difference_slopes", {"samplers": ("ddpm", "ddim")}, VIOLATED),
    ("mixture_difference_slopes", {"recursion": "direct"}, VIOLATED),
    ("mixture_ddpm_gains_less", {"samplers": ("ddpm", "ddim")}, VIOLATED),
    ("mixture_open_loop_ddpm", {"recursion": "closed_loop"}, VIOLATED),
    ("mixture_open_loop_ddpm", {"sampler": "ddim"}, VIOLATED),
    ("mixture_bound_holds", {"bound": halved(bounds.max_norm_closed_loop)}, VIOLATED),
    ("mixture_bound_holds", {"recursion": "open_loop"}, VIOLATED),
    ("mixture_bound_holds", {"recursion": Flipped()}, VIOLATED),
    ("mixture_bound_holds", {"differences": "full precision"}, VIOLATED),
]
