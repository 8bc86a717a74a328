"""Diffusion without a network: schedules, noise, samplers, and mixtures whose denoiser is known exactly."""
