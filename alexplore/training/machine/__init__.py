"""What the machine does while it trains: load, memory, power, temperature and energy, sampled by a thread."""
