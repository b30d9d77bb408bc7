"""Exports that need PyTorch: a network with weights as an ONNX file, or its weights alone as safetensors."""

from __future__ import annotations

import argparse
import logging
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from alexplore.core.atomic_files import write_output
from alexplore.core.boundary import print_error, print_note, print_warning, run_guarded
from alexplore.core.errors import DONE
from alexplore.core.process_exit import exit_process
from alexplore.export import export_preset
from alexplore.presets.preset import Preset
from alexplore.presets.reader import read_preset
from alexplore.training import checkpoint
from alexplore.training.errors import UsageError
from alexplore.training.model.build import Model, build
from alexplore.training.randomness import seed_for
from alexplore.training.weight_matching import load_weights

INSTALL = "pip install 'alexplore[onnx]'"


def export() -> int:
    """Write the file that the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="alexplore export")
    parser.add_argument("preset", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--to", choices=("onnx", "safetensors"), required=True)
    arguments = parser.parse_args()
    preset = read_preset(arguments.preset)
    model = trained_model(preset, arguments.weights)
    if arguments.to == "onnx":
        write_onnx(preset, model, arguments.output)
    else:
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        write_output(arguments.output, save(tensors))
    return DONE


def trained_model(preset: Preset, weights: Path | None) -> Model:
    """Return a preset's model with the weights of a file, or with the initial weights of its seed.

    Raises:
        CheckpointError: the weights can't be read or don't fit the network.
        ShapeError, UsageError: the network can't be built.
    """
    model = build(preset.network, seed_for(preset.recipe.seed, "weights"))
    if weights is None:
        print_note("no --weights were given: the file has initial weights, which are not trained")
    else:
        source, tensors = checkpoint.load_named_weights(weights, print_warning)
        load_weights(model, tensors, source)
    return model.eval()


def write_onnx(preset: Preset, model: nn.Module, file: Path) -> None:
    """Write a network with a model's weights as an ONNX file, for batches of any size.

    The module that the export to PyTorch defines is traced, because `model` has faster kernels in place of some layers.
    The input is called "images", (N, C, H, W), and the output "outputs".

    Raises:
        UsageError: a package is missing.
        ExportError: the network is broken, or has opaque layers.
    """
    for package in ("onnx", "onnxscript"):
        if find_spec(package) is None:
            raise UsageError(f"writing ONNX files needs the package {package}: {INSTALL}")
    module = _exported_module(preset)
    module.load_state_dict(model.state_dict())
    module.eval()
    images = torch.zeros(2, *preset.network.input)
    logging.disable(logging.WARNING)  # the exporter's progress and hints
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            module,
            (images,),
            dynamo=True,
            verbose=False,
            input_names=["images"],
            output_names=["outputs"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
    program.save(file)


def _exported_module(preset: Preset) -> nn.Module:
    """Return the module that the program's own export to PyTorch defines."""
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(export_preset(preset, "pytorch"), "exported.py", "exec"), names)
    *_, found = (value for value in names.values() if isinstance(value, type))
    module: nn.Module = found()
    return module


if __name__ == "__main__":
    exit_process(run_guarded(export, print_error))
