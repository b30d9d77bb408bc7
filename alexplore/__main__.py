"""The entry point: `alexplore` and `python -m alexplore`."""

from __future__ import annotations

import gc


def main() -> None:
    """Run the command line.

    The cyclic garbage collector is off while modules load: they create many lasting objects and no garbage, and its
    searches take a seventh of the start-up time. `cli.app` turns it on again.
    """
    gc.disable()
    from alexplore.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
