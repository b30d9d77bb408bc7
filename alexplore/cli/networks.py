"""Commands for networks: shapes, presets, diff, export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from alexplore.cli.options import PRESET_HELP, OptionalPresetOption, RunsDir, given
from alexplore.cli.output import complain, console, deliver, narrate, say, say_json
from alexplore.core.errors import FAILED, WrongUseError
from alexplore.core.formatting import count_text
from alexplore.core.home import expand
from alexplore.core.settings import LARGEST
from alexplore.export import FORMAT_NAMES, check_format, export_preset
from alexplore.network.analysis import Analysis, analyse
from alexplore.network.graph import channels_first, parse_input
from alexplore.network.shapes import shape_text
from alexplore.presets.library import find_preset, load_preset
from alexplore.presets.optimizers import OPTIMIZERS
from alexplore.presets.precisions import PRECISIONS
from alexplore.presets.preset import Preset
from alexplore.presets.reader import read_preset
from alexplore.presets.recipe import change_recipe
from alexplore.presets.sources import open_preset


def shapes(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[P] [LAYER]", help="A preset, if not --preset; with --explain, one of its layers."),
    ] = None,
    preset: OptionalPresetOption = None,
    input_size: Annotated[
        str | None,
        typer.Option("--input", metavar="CxHxW", help="Another input size, such as 3x224x224."),
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="Images in a batch, for activation and training memory.")
    ] = 1,
    optimizer: Annotated[
        str | None, typer.Option(metavar="|".join(OPTIMIZERS), help="For training memory, else the recipe's.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(metavar="|".join(PRECISIONS), help="For training memory, else the recipe's; auto counts as fp32."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="The arithmetic behind every number, of LAYER or of all of them.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated rows.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="A Markdown table.")] = False,
) -> None:
    """Print every layer's output shape, parameters, MACs and receptive field."""
    if as_json + as_csv + as_markdown + explain > 1:
        raise WrongUseError("--json, --csv, --markdown and --explain exclude each other")
    preset, layer = _preset_and_layer(names or [], preset)
    if layer is not None and not explain:
        raise WrongUseError(f"{layer!r}: a LAYER goes with --explain")
    size = parse_input(input_size) if input_size else None
    opened = open_preset(preset, narrate, size)
    opened = replace(opened, recipe=change_recipe(opened.recipe, given(optimizer=optimizer, precision=precision)))
    if size:
        opened = replace(opened, network=opened.network.with_input(*size))
    analysis = analyse(opened.network)
    _note_turned_input(analysis)
    if as_json or as_csv or as_markdown:
        from alexplore.export import report

        if as_json:
            say(report.to_json(opened, analysis, batch))
        else:
            text = report.to_csv(analysis, batch) if as_csv else report.to_markdown(analysis, batch)
            say(text, end="")
    elif explain:
        _print_explanation(opened, analysis, layer, batch)
    else:
        from alexplore.render.network_tables import shapes_table, totals_lines

        out = console()
        out.print(shapes_table(opened, analysis))
        for line in totals_lines(opened, analysis, batch):
            out.print(line)
    if analysis.broken:
        complain(str(analysis.broken.error))
        raise typer.Exit(FAILED)


def _note_turned_input(analysis: Analysis) -> None:
    """Say that an input looks as if its channels came last, unless a broken layer says so already."""
    input = analysis.network.input
    if (turned := channels_first(input)) and not analysis.broken:
        narrate(
            f"input {shape_text(input)} looks like height, width, channels; read as channels, height, width. If that "
            f"is not meant: {shape_text(turned)}"
        )


def _preset_and_layer(names: list[str], preset: str | None) -> tuple[str, str | None]:
    """Return the names of the preset and the layer; without --preset, the first name is the preset."""
    if preset is None and not names:
        raise WrongUseError("name a preset: `alexplore shapes paper`; `alexplore presets` lists them")
    found, rest = (names[0], names[1:]) if preset is None else (preset, names)
    if len(rest) > 1:
        raise WrongUseError(f"{' '.join(rest)}: one LAYER at most; `alexplore diff` compares presets")
    return found, rest[0] if rest else None


def _print_explanation(preset: Preset, analysis: Analysis, layer: str | None, batch: int) -> None:
    from alexplore.render.network_tables import explanation

    rows = analysis.rows if layer is None else [analysis.rows[preset.network.index(layer)]]
    out = console()
    for renderable in explanation(preset, analysis, rows, batch, totals=layer is None):
        out.print(renderable)


def presets(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show one preset in full.")] = None,
    path: Annotated[bool, typer.Option("--path", help="Print where the preset's file is.")] = False,
    check: Annotated[Path | None, typer.Option("--check", metavar="FILE", help="Check a preset file.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print a JSON Schema of preset files.")] = False,
) -> None:
    """List the presets, show one, check a file, or print the JSON Schema of preset files."""
    if (name is not None or path) + (check is not None) + schema > 1:
        raise WrongUseError("NAME, --check and --schema exclude each other")
    if schema:
        _print_schema()
    elif check is not None:
        _check(expand(check))
    elif name is None:
        if path:
            raise WrongUseError("--path needs the NAME of a preset")
        from alexplore.render.network_tables import presets_table

        console().print(presets_table())
    elif path:
        say(str(find_preset(name)))
    else:
        from alexplore.render.network_tables import about

        preset = load_preset(name)
        out = console()
        for renderable in about(preset, analyse(preset.network)):
            out.print(renderable)


def _print_schema() -> None:
    from alexplore.presets.schema import preset_schema

    say_json(preset_schema(), indent=1)


def _check(file: Path) -> None:
    preset = read_preset(file)
    analysis = analyse(preset.network)
    _note_turned_input(analysis)
    if analysis.broken:
        complain(f"{file}: {analysis.broken.error}")
        raise typer.Exit(FAILED)
    from alexplore.presets.published import check_published, published_text
    from alexplore.render.fitted_table import Labelled

    totals, out = analysis.totals, console()
    out.print(
        f"{file}: {count_text(len(preset.network.layers), 'layer')}, {totals.params:,} parameters, {totals.macs:,} MACs"
    )
    for checked in check_published(preset.published, analysis):
        out.print(Labelled("  ", published_text(checked)))


def diff(
    names: Annotated[
        list[str], typer.Argument(metavar="A B [C …]", help=f"Two networks or more. {PRESET_HELP}", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Put networks side by side: layers aligned, what differs marked. More than two are compared with the first."""
    if len(names) < 2:
        raise WrongUseError(f"{names[0]}: name two networks or more: `alexplore diff paper torchvision`")
    opened = [open_preset(name, narrate) for name in names]
    if len(opened) == 2:
        _diff_two(*opened, as_json=as_json)
        return
    from alexplore.network.compare_many import compare_many

    comparison = compare_many([preset.network for preset in opened])
    if as_json:
        say_json({"networks": [preset.name for preset in opened], **comparison.to_dict()})
        return
    from alexplore.render.network_tables import many_table, many_totals

    out = console()
    out.print(many_table(opened, comparison))
    out.print(many_totals(opened, comparison))


def _diff_two(first: Preset, second: Preset, *, as_json: bool) -> None:
    from alexplore.network.compare import compare

    comparison = compare(first.network, second.network)
    if as_json:
        say_json({"a": first.name, "b": second.name, **comparison.to_dict()})
        return
    from alexplore.render.network_tables import diff_table, diff_totals

    out = console()
    out.print(diff_table(first, second, comparison))
    out.print(diff_totals(first, second, comparison))


def export(
    to: Annotated[str, typer.Option("--to", metavar="|".join(FORMAT_NAMES), help="The format.")],
    preset: OptionalPresetOption = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="A run's network, and for onnx its best weights.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|RUN",
            help="For onnx: the weights. For keras and pytorch: write them beside the code, as .npz and .safetensors.",
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="stdout if left out.")] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Write a network as PyTorch or Keras code, ONNX, JSON, an HTML page, or a Mermaid diagram."""
    if (preset is None) == (run is None):
        raise WrongUseError("name what to export: --preset P or --run RUN")
    check_format(to)
    from alexplore.cli.export_weights import WITH_WEIGHTS, export_with_weights, preset_of_run

    opened, best = preset_of_run(run, runs_dir) if run else (open_preset(str(preset), narrate), None)
    if to not in WITH_WEIGHTS or (to != "onnx" and weights is None):
        if weights is not None:
            raise WrongUseError(f"--weights goes with --to {', '.join(WITH_WEIGHTS)}")
        deliver(export_preset(opened, to), output)
        return
    if output is None:
        raise WrongUseError(f"--to {to} with weights writes a file of its own: name it with --output FILE")
    export_with_weights(opened, to, weights, best, expand(output), runs_dir)
