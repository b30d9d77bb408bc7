"""The parts of `benchmarks/gpu.py`: what alexplore computes and how fast it is on a GPU."""
