"""What is fitted before a run: static scales of a trained model, split layers, learned rounding of weights."""
