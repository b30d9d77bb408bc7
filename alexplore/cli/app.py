"""The commands, by what they are about."""

from __future__ import annotations

from typing import Annotated

import typer

from alexplore import __version__
from alexplore.cli import explore, machine, runs, training

app = typer.Typer(
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


app.command("tui")(explore.tui)
app.command("shapes")(explore.shapes)
app.command("presets")(explore.presets)
app.command("diff")(explore.diff)
app.command("export")(explore.export)
app.command("train")(training.train)
app.add_typer(runs.app, name="runs")
app.command("predict")(training.predict)
app.command("evaluate")(training.evaluate)
app.command("doctor")(machine.doctor)
