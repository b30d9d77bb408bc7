"""Exports with weights: ONNX, and files of weights beside exported code.

A separate process, which imports torch, reads the weights.
"""

from __future__ import annotations

import io
import tempfile
from functools import partial
from pathlib import Path

import typer

from alexplore.cli.output import narrate
from alexplore.core.atomic_files import check_no_folder, write_output
from alexplore.core.errors import WrongUseError
from alexplore.presets.preset import Preset
from alexplore.runs.checkpoint_names import WEIGHTS
from alexplore.runs.commands import run_command
from alexplore.runs.directory import find_run, runs_folder
from alexplore.runs.starting_weights import find_weights

PIECE_BYTES = 2**24
"""Bytes of a large file that are copied at once."""

WITH_WEIGHTS = ("onnx", "keras", "pytorch")
"""Formats that can contain weights."""


def preset_of_run(run: str, runs_dir: Path | None) -> tuple[Preset, Path | None]:
    """Return a run's network and recipe as a preset, and its best checkpoint.

    Raises:
        RunError: there is no such run, or it can't be read.
    """
    found = find_run(run, runs_folder(runs_dir))
    config = found.config()
    preset = config.as_preset(f"{config.preset}, trained as {found.name}")
    return preset, found.best_checkpoint


def export_with_weights(
    preset: Preset, to: str, weights: str | None, best: Path | None, output: Path, runs_dir: Path | None
) -> None:
    """Write a file with weights, or code with the weights beside it: the weights that `weights` names, else `best`.

    Raises:
        WrongUseError: `output` is a folder.
        WeightsError: `weights` is neither a file nor a run.
        ExportError: the format has no equivalent of a layer.
        typer.Exit: the process that reads the weights has failed, and has reported why.
    """
    check_no_folder(output)
    source = find_weights(weights, runs_folder(runs_dir)) if weights else best
    beside = output.with_suffix(WEIGHTS_SUFFIXES[to]) if to in WEIGHTS_SUFFIXES else output
    if to in WEIGHTS_SUFFIXES and beside == output:
        raise WrongUseError(f"{output}: the weights are written under this name; give the code another suffix, as .py")
    given = source / WEIGHTS if source is not None and source.is_dir() else source
    if given is not None and beside.exists() and given.exists() and beside.samefile(given):
        raise WrongUseError(f"{beside} would be replaced by the weights that are written; name another file")
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "written", output.name)
        _run_export(preset, source, "onnx" if to == "onnx" else "safetensors", written)
        if to == "onnx":
            _write_onnx(written, output)
        else:
            _write_code(preset, to, written, output)
    narrate(f"wrote {output}")


WEIGHTS_SUFFIXES = {"pytorch": ".safetensors", "keras": ".npz"}
"""Of the file of weights beside the code."""


def _run_export(preset: Preset, weights: Path | None, to: str, output: Path) -> None:
    from alexplore.presets.text import preset_text

    output.parent.mkdir()
    file = output.parent.with_name("preset.toml")
    file.write_text(preset_text(preset), encoding="utf-8")
    options = ["--to", to, *(["--weights", str(weights)] if weights else [])]
    if code := run_command("export", [*options, "--", str(file), str(output)]):
        raise typer.Exit(code)


def _write_onnx(written: Path, output: Path) -> None:
    """Write an ONNX file, and beside it the weights of one that is larger than 1.5 GiB, which names that file."""
    weights = written.with_name(f"{written.name}.data")
    if weights.exists():
        beside = output.with_name(weights.name)
        with weights.open("rb") as file:
            write_output(beside, iter(partial(file.read, PIECE_BYTES), b""))
        narrate(f"wrote {beside}")
    write_output(output, written.read_bytes())


def _write_code(preset: Preset, to: str, tensors: Path, output: Path) -> None:
    """Write code, and its weights beside it: safetensors for PyTorch, an .npz file in Keras's order for Keras."""
    from alexplore.export import export_preset

    code = export_preset(preset, to)
    if to == "pytorch":
        file, content = output.with_suffix(WEIGHTS_SUFFIXES[to]), tensors.read_bytes()
    else:
        import numpy as np
        from safetensors.numpy import load_file

        from alexplore.export.keras_weights import keras_arrays, with_loader
        from alexplore.network.analysis import analyse

        file, buffer = output.with_suffix(WEIGHTS_SUFFIXES[to]), io.BytesIO()
        np.savez(buffer, allow_pickle=False, **keras_arrays(analyse(preset.network), load_file(tensors)))
        code, content = with_loader(code, file.name), buffer.getvalue()
    write_output(file, content)
    narrate(f"wrote {file}")
    write_output(output, code)
