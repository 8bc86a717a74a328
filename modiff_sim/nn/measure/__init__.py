"""What a model does while it samples: distributions, sparsity, gains, signal-to-noise ratios."""
