"""Runs on disk: the run directory, the only channel between a worker and the programs that watch it. No torch."""
