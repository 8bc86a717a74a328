"""What is chosen from data before a run: static scales, aligned grids, learned rounding of weights."""
