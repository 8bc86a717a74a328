"""Training of the zoo's models and classifiers: recipes, the loop, checkpoints, the quality of what came out."""
