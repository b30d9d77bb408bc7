"""Several ranks: meeting, launching, and splitting a network into towers."""
