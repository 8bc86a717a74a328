"""Experiments of the checkout: data, training, metrics, sweeps. Not part of the wheel."""
