"""Several ranks: starting them, connecting them, and splitting a network into towers."""
