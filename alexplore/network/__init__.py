"""Networks: layers, and their numbers by arithmetic. Standard library only; no torch."""
