"""Experiments on a trained model: arms, caching, recorded distributions, the predicted cliff."""
