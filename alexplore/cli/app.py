"""The commands by name; a command's module is imported when it is called, so that `shapes` waits for nothing else."""

from __future__ import annotations

import gc
from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from alexplore import __version__

COMMANDS = {
    "tui": "networks",
    "shapes": "networks",
    "presets": "networks",
    "diff": "networks",
    "import": "importing",
    "export": "networks",
    "train": "train",
    "runs": "runs",
    "predict": "train",
    "evaluate": "train",
    "doctor": "doctor",
}


class LazyCommands(TyperGroup):
    """Finds commands in their modules: a function, or an `app` with commands of its own."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of that name; None where there is none."""
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
        gc.freeze()  # what is loaded by now stays: the collector need not look through it again
        gc.enable()
        return command


app = typer.Typer(
    cls=LazyCommands,
    help="Explore and train the AlexNet family: every shape, parameter and cost, live, with its arithmetic.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"alexplore {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
