"""Products of two activations, such as those of an attention: found, modulated and counted."""
