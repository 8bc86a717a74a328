"""Sampling of any model under any arm in micro-batches; images as metrics take them, and as pictures."""
