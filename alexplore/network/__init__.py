"""What a network is: layers, arithmetic, presets. Standard library only; no torch."""
