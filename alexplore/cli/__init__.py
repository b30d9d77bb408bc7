"""The command line: read arguments, call, print. Slow modules are imported when a command is called."""

from __future__ import annotations

import sys
from typing import Any

from alexplore.cli.app import app
from alexplore.cli.output import allow_all_characters, complain
from alexplore.core.boundary import reopen_closed_streams, run_guarded


def main() -> None:
    """Run the command line and exit with its code."""
    reopen_closed_streams()
    allow_all_characters()

    def command() -> int:
        code: Any = app(prog_name="alexplore", standalone_mode=True)
        return int(code or 0)

    sys.exit(run_guarded(command, complain))
