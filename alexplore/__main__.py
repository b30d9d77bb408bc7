"""The program's start: `alexplore` and `python -m alexplore`."""

from __future__ import annotations

import gc


def main() -> None:
    """Load the command line and run it.

    The cyclic garbage collector rests while modules load: they make much that stays and no garbage, and to look for
    some takes a seventh of the start. `cli.app` wakes it when the command is there.
    """
    gc.disable()
    from alexplore.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
