"""Programs of their own beside the worker, for commands that need torch: `python -m alexplore.training.commands.…`."""
