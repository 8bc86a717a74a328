"""Arms on one model or pipeline, side by side."""
