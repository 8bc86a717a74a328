"""A whole sampler against exact truth: Gaussian mixtures, whose best denoiser and distribution are known."""
