"""Training of the zoo's models and classifiers: recipes, the loop, checkpoints, and the quality of the result."""
