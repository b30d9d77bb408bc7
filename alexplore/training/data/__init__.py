"""Data sets: found or downloaded, checked against the network, kept on the device, and made into batches there."""
