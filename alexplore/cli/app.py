"""The commands by name. The module of a command is imported when it is called, so that `shapes` starts fast."""

from __future__ import annotations

import gc
from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from alexplore import __version__
from alexplore.cli.output import on_a_terminal, say

COMMANDS = {
    "tui": "tui",
    "shapes": "networks",
    "presets": "networks",
    "diff": "networks",
    "import": "importing",
    "export": "networks",
    "lesson": "lessons",
    "train": "train",
    "runs": "runs",
    "replay": "replay",
    "sweep": "sweep",
    "queue": "queue",
    "predict": "predict",
    "evaluate": "predict",
    "data": "data",
    "profile": "profile",
    "doctor": "doctor",
}


class LazyCommands(TyperGroup):
    """Finds commands in their modules: a function, or an `app` with subcommands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command with that name, None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"alexplore.cli.{COMMANDS[cmd_name]}")
        if hasattr(module, "app"):
            command: Any = typer.main.get_group(module.app)
        else:
            single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            single.command(cmd_name)(getattr(module, f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name))
            command = typer.main.get_command(single)
        command.name = cmd_name
        _start_collecting()
        return command


def _start_collecting() -> None:
    """Turn the garbage collector on, without scanning the objects that exist by now: they are needed to the end."""
    gc.freeze()
    gc.enable()


app = typer.Typer(
    cls=LazyCommands,
    help="Explore, edit and train convolutional networks, AlexNet and its family first: every shape, parameter and "
    "cost, with its arithmetic.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        say(f"alexplore {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 (`_version` uses it)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    if not on_a_terminal():
        say(context.get_help())
        return
    from alexplore.cli.tui import tui

    _start_collecting()
    tui()
