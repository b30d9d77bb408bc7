"""The command line: read arguments, call, print. What takes long to import is imported by the command that needs it."""

from __future__ import annotations

import os
import sys

from alexplore.cli.app import app
from alexplore.cli.output import FAILED, WRONG_USE, complain, print_anything
from alexplore.network.presets import PresetError
from alexplore.network.settings import SettingError


def main() -> None:
    """Run the command line and leave with its exit code; what goes wrong is told in one message."""
    print_anything()
    try:
        app(prog_name="alexplore")
    except (PresetError, SettingError) as error:
        complain(str(error))
        sys.exit(WRONG_USE)
    except BrokenPipeError:  # the reader of a pipe has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        sys.exit(FAILED)
    except Exception as error:
        from alexplore.runs.directory import RunError

        if not isinstance(error, RunError):
            raise
        complain(str(error))
        sys.exit(FAILED if error.failure else WRONG_USE)
