"""Sampling of any model under any arm in micro-batches, and images as the metrics and the eye take them."""
