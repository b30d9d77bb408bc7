"""The command import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alexplore.cli.output import check_writable, console, narrate, say
from alexplore.core.errors import WrongUseError
from alexplore.core.home import expand, resolved
from alexplore.core.toml_files import is_path
from alexplore.network.analysis import analyse
from alexplore.network.graph import parse_input


def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="FILE.py:NAME, package.module:NAME, torchvision:NAME, FILE.pt2 or FILE.onnx. NAME is an nn.Module, "
            "its class, a function that returns one, or a call with literal arguments: 'net.py:Net(num_classes=10)'.",
        ),
    ],
    input_size: Annotated[
        str | None,
        typer.Option("--input", metavar="CxHxW", help="The size of an image; else the first usual size that works."),
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The preset's name; else the model's.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The preset's file, or a folder for it.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the model's own weights, as safetensors.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
) -> None:
    """Import a PyTorch or ONNX model as a preset, and print its layers.

    This RUNS THE CODE in FILE.py or package.module, as Python's own import does: give only files that you trust.
    Nothing else in alexplore runs code from a file, except other commands that get a SOURCE instead of a preset.
    """
    if weights is not None:
        check_writable(weights)
    from alexplore.presets.sources import FORMS, import_preset, is_source, source_name
    from alexplore.presets.writer import check_free, own_path, save_preset

    if not is_source(source):
        raise WrongUseError(f"{source!r} is no SOURCE; allowed: {FORMS}")
    if name is not None and is_path(name):
        raise WrongUseError(f"--name {name!r}: a name, not a path; --output is for paths")
    if output is None:
        check_free(name or source_name(source))
    else:
        output = resolved(expand(output))
        if output.is_dir():
            output = output / f"{name or source_name(source)}.toml"
            check_free(str(output))
        own_path(str(output))
    narrate(f"importing {source} with PyTorch")
    size = parse_input(input_size) if input_size else None
    preset = import_preset(source, narrate, input=size, name=name or (output.stem if output else None), weights=weights)
    saved = save_preset(preset, str(output) if output else preset.name, overwrite=output is not None)
    analysis = analyse(saved.network)
    if as_json:
        from alexplore.export import report

        say(report.to_json(saved, analysis, 1))
    else:
        from alexplore.render.network_tables import shapes_table, totals_lines

        out = console()
        out.print(shapes_table(saved, analysis))
        for line in totals_lines(saved, analysis, 1):
            out.print(line)
    narrate(f"wrote {saved.path}")
    if weights is not None:
        narrate(f"wrote {weights}")
