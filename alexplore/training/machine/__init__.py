"""Load, memory, power, temperature and energy of the machine during training, sampled by a thread."""
