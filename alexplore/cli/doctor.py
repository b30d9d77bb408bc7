"""The command doctor."""

from __future__ import annotations

import typer

from alexplore.core.errors import FAILED


def doctor() -> None:
    """Check what this machine has for training and for the app, and say how to get what is missing."""
    from alexplore.runs.commands import run_command

    raise typer.Exit(FAILED if run_command("doctor", []) else 0)
