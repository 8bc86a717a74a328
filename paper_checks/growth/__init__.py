"""How the error grows with the number of calls, in the worst case, on grids, and in a trained model."""
