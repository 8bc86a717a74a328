"""Which scheme to use: where each one wins, and what suits a layer that was recorded."""
