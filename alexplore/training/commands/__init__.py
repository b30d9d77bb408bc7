"""Commands that need torch, each run as a program: `python -m alexplore.training.commands.NAME`."""
