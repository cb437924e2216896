"""Training: an experiment file (`experiment`), what is trained on what (`task`), and the run."""
