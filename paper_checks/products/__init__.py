"""Products of two activations, which are attention's: what they are, their bounds, their cost."""
