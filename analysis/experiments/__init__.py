"""Experiments on the digits model: arms, caching, recorded distributions, the predicted cliff."""
