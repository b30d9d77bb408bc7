"""The process that imports a model: prints one JSON object with the preset's text, or with the error.

What the model's own code prints goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexplore.core.boundary import run_guarded
from alexplore.core.errors import DONE
from alexplore.core.process_exit import exit_process
from alexplore.network.graph import parse_input
from alexplore.network.shapes import shape_text

if TYPE_CHECKING:
    from alexplore.importing.tracing import Trace


def main() -> int:
    """Import the model that the command line names, print the answer, and return the exit code."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    answer: dict[str, Any] = {}

    def run() -> int:
        answer.update(_answer(_parser().parse_args()))
        return DONE

    code = run_guarded(run, lambda message: answer.update(error=message))
    with answers:
        json.dump(answer, answers)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="alexplore import")
    parser.add_argument("source")
    parser.add_argument("--input", type=parse_input)
    parser.add_argument("--name")
    parser.add_argument("--weights", type=Path)
    return parser


def _answer(arguments: argparse.Namespace) -> dict[str, Any]:
    import torch

    from alexplore.importing.mapping import import_trace
    from alexplore.importing.weights import write_weights
    from alexplore.presets.preset import Preset
    from alexplore.presets.sources import source_name
    from alexplore.presets.text import preset_text

    source: str = arguments.source
    trace = read_source(source, arguments.input, with_weights=arguments.weights is not None)
    imported = import_trace(trace, source)
    if arguments.weights is not None:
        write_weights(imported, trace.state, arguments.weights)
    preset = Preset(
        arguments.name or source_name(source),
        imported.network,
        title=_title(source),
        family="imported",
        source=f"{source}, imported with PyTorch {torch.__version__}",
    )
    notes = [f"no --input was given: images of {shape_text(trace.input)}"] if trace.guessed else []
    if arguments.input not in (None, trace.input):
        notes.append(f"it was exported for images of {shape_text(trace.input)} alone, and is imported with them")
    return {"preset": preset_text(preset), "name": preset.name, "warnings": [*notes, *imported.warnings]}


def read_source(source: str, size: tuple[int, int, int] | None, *, with_weights: bool) -> Trace:
    """Return the trace of the model that a SOURCE names, for images of `size` (channels, height, width).

    If `size` is None, the usual sizes are tried.

    Raises:
        SourceError, ImportFailed: it can't be imported.
    """

    from alexplore.importing.loading import load_module
    from alexplore.importing.tracing import trace_file, trace_module

    if ":" not in source:
        if source.endswith(".pt2"):
            return trace_file(Path(source), source, size)
        from alexplore.importing.onnx_module import load_onnx

        module, own, batch = load_onnx(Path(source), source)
        return trace_module(module, size or own, source, batch)
    return trace_module(load_module(source, with_weights=with_weights), size, source)


def _title(source: str) -> str:
    """Return the title of the preset of a source: Net(10), from net.py."""
    where, _, name = source.partition(":")
    return f"{name}, from {Path(where).name}" if name else Path(where).name


if __name__ == "__main__":
    exit_process(main())
