"""The names of a run's checkpoints, and of the files in them."""

WEIGHTS, STATE, MANIFEST = "model.safetensors", "state.pt", "manifest.json"

LAST, PREVIOUS, BEST = NAMES = "last", "previous", "best"
"""The folders, in the order in which a worker tries them."""

SAVING, OLD = ".saving-", ".old-"
"""How the names of folders begin that are being written, or that were replaced."""
