"""Models of other people: folders, checkpoints, pipelines, schedulers, architectures and their sizes."""
