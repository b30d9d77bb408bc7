"""The command profile."""

from __future__ import annotations

from typing import Annotated

import typer

from alexplore.cli.options import OptionalPresetOption, given
from alexplore.cli.output import console, narrate, say_json
from alexplore.core.errors import WrongUseError
from alexplore.core.settings import LARGEST
from alexplore.network.analysis import analyse
from alexplore.network.graph import parse_input
from alexplore.network.shapes import shape_text
from alexplore.presets.precisions import PRECISIONS
from alexplore.presets.recipe import change_recipe
from alexplore.presets.sources import open_preset
from alexplore.runs.config import DEVICES, RunConfig


def profile(
    name: Annotated[str | None, typer.Argument(metavar="[P]", help="A preset, if not --preset.")] = None,
    preset: OptionalPresetOption = None,
    input_size: Annotated[
        str | None, typer.Option("--input", metavar="CxHxW", help="Another input size, such as 3x224x224.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, max=LARGEST, help="Images in a batch, else the recipe's batch_size.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="|".join(DEVICES), help="Where to measure.")] = "auto",
    precision: Annotated[
        str | None, typer.Option(metavar="|".join(PRECISIONS), help="Else the recipe's; auto counts as fp32.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; times in milliseconds.")] = False,
) -> None:
    """Measure how long each layer takes, forward and backward, beside its MACs and the machine's peak."""
    from alexplore.core.processes import CommandError
    from alexplore.render.profiles import profile_lines
    from alexplore.runs.profile import measure_profile

    if (name is None) == (preset is None):
        raise WrongUseError("one preset is needed: alexplore profile P, or --preset P")
    size = parse_input(input_size) if input_size else None
    opened = open_preset(preset or name or "", narrate, size)
    network = opened.network.with_input(*size) if size else opened.network
    recipe = change_recipe(opened.recipe, given(batch_size=batch, precision=precision))
    analysis = analyse(network)
    config = RunConfig(opened.name, network, recipe).change({"device": device})
    narrate(f"measuring {opened.name} in batches of {recipe.batch_size}")
    try:
        measured = measure_profile(config)
    except CommandError as error:  # the process has reported why
        raise typer.Exit(error.exit_code) from None
    if as_json:
        say_json({"preset": opened.name, "input": list(network.input), **measured.to_dict()}, indent=1)
        return
    out = console()
    title = f"{opened.name} · {opened.title or 'network'} · input {shape_text(network.input)}"
    for line in profile_lines(title, measured, analysis):
        out.print(line)
