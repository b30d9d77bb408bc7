"""Commands that decode an image folder once: data pack, data check."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from alexplore.cli.output import narrate
from alexplore.core.errors import WrongUseError
from alexplore.core.home import expand, resolved

app = typer.Typer(help="Decode an image folder once, for many trainings.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="An image folder, as --dataset imagefolder takes it.")]


@app.command()
def pack(
    folder: Folder,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the packed images go; FOLDER-packed if left out.")
    ] = None,
    side: Annotated[int, typer.Option(min=16, max=4096, help="Pixels of a side of the packed images.")] = 256,
) -> None:
    """Decode every image once to 8 bits, its shorter side resized and its centre cropped; continue after a kill."""
    source = expand(str(folder))
    whole = Path(os.path.abspath(source))  # noqa: PTH100 (a link stays one: what is packed is put beside it)
    if output is None and not whole.name:
        raise WrongUseError(f"{folder}: name the folder of the packed images with --output")
    target = expand(str(output)) if output else whole.with_name(f"{resolved(source).name}-packed")
    _run("pack", str(source), str(target), str(side))
    narrate(f"train on it with: alexplore train --preset P --dataset imagefolder --data {target}")


@app.command()
def check(folder: Annotated[Path, typer.Argument(metavar="PACKED", help="A folder that data pack made.")]) -> None:
    """Read all packed images and compare their checksums."""
    _run("check", str(expand(str(folder))))


def _run(*arguments: str) -> None:
    from alexplore.runs.commands import run_command

    if code := run_command("pack", arguments):
        raise typer.Exit(code)
