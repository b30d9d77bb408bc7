"""What this machine offers: doctor."""

from __future__ import annotations

import typer

from alexplore.core.errors import FAILED


def doctor() -> None:
    """Tell what this machine offers for training and for the app, and what to do about what is missing."""
    from alexplore.runs.launch import run_command

    raise typer.Exit(FAILED if run_command("doctor", []) else 0)
