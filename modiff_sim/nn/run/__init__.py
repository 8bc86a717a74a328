"""One run of a modulated model: its options, its state, and the step that a layer's call makes."""
