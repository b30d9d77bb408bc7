"""Runs on disk: the run directory, which is the only channel between a training worker and its watchers. No torch."""
