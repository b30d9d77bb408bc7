"""Networks and runs as Rich tables, for the command line and the app alike."""
