"""The parts of `benchmarks/gpu.py`: whether alexplore is correct and how fast it is on a GPU."""
