"""Quantizers that round at random: their worst cases, expectations over all their bits, and bands that hold mostly."""
