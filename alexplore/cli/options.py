"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

PRESET_HELP = "A preset's name, a path to its file, or a SOURCE as `alexplore import` takes it."
PresetOption = Annotated[str, typer.Option("--preset", "-p", metavar="P", help=PRESET_HELP)]
OptionalPresetOption = Annotated[str | None, typer.Option("--preset", "-p", metavar="P", help=PRESET_HELP)]
RunsDir = Annotated[
    Path | None,
    typer.Option(
        "--runs-dir", metavar="DIR", help="Where runs are kept; else $ALEXPLORE_RUNS, else the user's folder."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
AsJsonLines = Annotated[bool, typer.Option("--json", help="Print metrics and events as JSON lines.")]


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given: those that are not None."""
    return {key: value for key, value in options.items() if value is not None}
