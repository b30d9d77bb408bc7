"""Commands that need torch, each a program of its own: `python -m alexplore.training.commands.NAME`."""
