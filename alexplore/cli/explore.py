"""Commands about networks: tui, shapes, presets, diff, export."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Optional

import typer

from alexplore.cli.output import DONE, FAILED, WRONG_USE, complain, console
from alexplore.network.analysis import analyse
from alexplore.network.network import parse_input
from alexplore.network.presets import Preset, load_preset

PresetOption = Annotated[
    str, typer.Option("--preset", "-p", metavar="P", help="A preset's name, or a path to its file.")
]
RunsDir = Annotated[
    Optional[Path],  # noqa: UP045 (Typer reads it at run time)
    typer.Option(
        "--runs-dir", metavar="DIR", help="Where runs are kept; else $ALEXPLORE_RUNS, else the user's folder."
    ),
]


def tui(
    preset: Annotated[Optional[str], typer.Option("--preset", "-p", metavar="P", help="Open this preset.")] = None,  # noqa: UP045
    run: Annotated[Optional[str], typer.Option("--run", metavar="RUN", help="Open this run.")] = None,  # noqa: UP045
    runs_dir: RunsDir = None,
) -> None:
    """Open the app: explore and edit networks, train them, watch runs."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        complain(
            "the app needs a terminal. Without one: `alexplore shapes --preset paper`, `alexplore train --preset "
            "fmnist-28`, `alexplore runs list`, `alexplore runs watch RUN`"
        )
        raise typer.Exit(WRONG_USE)
    from alexplore.runs.directory import find_run, runs_folder

    folder = runs_folder(runs_dir)
    opened = load_preset(preset or "paper")
    attached = find_run(run, folder) if run else None
    from alexplore.tui.app import ExploreApp

    app = ExploreApp(opened, folder, attached)
    app.run()
    if app.farewell:
        typer.echo(app.farewell)
    raise typer.Exit(app.return_code or DONE)


def shapes(
    preset: PresetOption,
    input_size: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--input", metavar="CxHxW", help="Another input size, such as 3x224x224."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images in a batch, for activation and training memory.")] = 1,
    explain: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--explain", metavar="LAYER", help="The arithmetic of a layer, or of `all`."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated rows.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="A Markdown table.")] = False,
) -> None:
    """Print every layer's output shape, parameters, MACs and receptive field."""
    if as_json + as_csv + as_markdown > 1:
        complain("--json, --csv and --markdown exclude each other")
        raise typer.Exit(WRONG_USE)
    opened = load_preset(preset)
    if input_size:
        opened = replace(opened, network=opened.network.with_input(*parse_input(input_size)))
    analysis = analyse(opened.network)
    if as_json or as_csv or as_markdown:
        from alexplore.network import report

        if as_json:
            typer.echo(report.to_json(opened, analysis, batch))
        else:
            typer.echo(report.to_csv(analysis) if as_csv else report.to_markdown(analysis), nl=False)
    elif explain:
        _print_explanation(opened, explain)
    else:
        from alexplore.cli.tables import shapes_table, totals_lines

        recipe = opened.recipe
        out = console()
        out.print(shapes_table(opened, analysis))
        memory = analysis.memory(batch, recipe.optimizer, recipe.momentum)
        for line in totals_lines(analysis, memory, batch):
            out.print(line, soft_wrap=True)
    if analysis.broken:
        complain(str(analysis.broken.error))
        raise typer.Exit(FAILED)


def _print_explanation(preset: Preset, layer: str) -> None:
    pass


def presets() -> None:
    pass


def diff() -> None:
    pass


def export() -> None:
    pass
