"""The command line: read arguments, call, print. A command imports what is slow to import when it is called."""

from __future__ import annotations

import sys
from typing import Any

from alexplore.cli.app import app
from alexplore.cli.output import complain, print_anything
from alexplore.core.boundary import reopen_closed_streams, run_guarded


def main() -> None:
    """Run the command line and exit with its code."""
    reopen_closed_streams()
    print_anything()

    def command() -> int:
        code: Any = app(prog_name="alexplore", standalone_mode=True)
        return int(code or 0)

    sys.exit(run_guarded(command, complain))
