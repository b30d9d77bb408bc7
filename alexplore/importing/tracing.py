"""Export a module as a program: the operators that it calls, in order, on tensors without values."""

from __future__ import annotations

import inspect
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from alexplore.core.formatting import count_text
from alexplore.importing.errors import ImportFailed, SourceError, place_text, reason_text
from alexplore.network.shapes import Shape, shape_text

Input = tuple[int, int, int]

BATCH = 29
"""Images in a traced batch: a prime that hardly any size is a multiple of, so that the axis can be recognised."""

SIDES = {1: (28, 32, 224, 227), 3: (224, 32, 227, 299, 64, 28)}
"""Sides of images that are tried if no size is given, by channels: those of the usual data sets."""


@dataclass(frozen=True)
class Trace:
    """A program with the nodes of its images and its output, the names of its state by node, and that state.

    `guessed` says that nothing fixed the size of its images: it is the first usual one that the model takes.
    """

    program: ExportedProgram
    image: Node
    output: Node
    parameters: Mapping[Node, str]
    buffers: Mapping[Node, str]
    state: Mapping[str, Tensor]
    guessed: bool = False

    @property
    def input(self) -> Input:
        """Channels, height and width of the images."""
        _, channels, height, width = self.image.meta["val"].shape
        return channels, height, width

    @property
    def batch(self) -> int:
        """Images in the traced batch."""
        return int(self.image.meta["val"].shape[0])


def trace_module(module: nn.Module, input: Input | None, source: str, batch: int = 1) -> Trace:
    """Trace a module with images of the size `input`, or, if that is None, of the first usual size that it takes.

    `batch` is the batch size of a module that takes no other.

    Raises:
        SourceError: it takes several inputs, or none of the usual sizes.
        ImportFailed: its forward pass fails with the size that was given, or with any size for the same reason.
    """
    _check_inputs(module, source)
    reasons: dict[Input, str] = {}
    for size in [input] if input else usual_inputs(module):
        try:
            return replace(_export(module, size, source, (BATCH, batch)), guessed=input is None)
        except ForwardFailed as error:
            reasons[size] = str(error)
    if input:
        raise ImportFailed(f"{source}: its forward pass fails with an input of {shape_text(input)}: {reasons[input]}")
    if len(set(reasons.values())) == 1:  # whatever the size
        raise ImportFailed(f"{source}: its forward pass fails: {next(iter(reasons.values()))}")
    first, reason = next(iter(reasons.items()))
    raise SourceError(
        f"{source}: the size of its input is needed: --input CxHxW, such as --input 3x224x224 (of `alexplore import`, "
        f"for commands without it). It takes none of {', '.join(map(shape_text, reasons))}; "
        f"with {shape_text(first)}: {reason}"
    )


def usual_inputs(module: nn.Module) -> Iterator[Input]:
    """Yield the usual sizes of images with the channels that the first convolution reads."""
    first = next((one for one in module.modules() if isinstance(one, nn.Conv2d)), None)
    known = first is not None and not isinstance(first.weight, nn.UninitializedParameter)
    for channels in [first.in_channels] if first is not None and known else [3, 1]:
        for side in SIDES.get(channels, SIDES[3]):
            yield channels, side, side


class ForwardFailed(Exception):
    """A forward pass that failed; the message gives the reason."""


def _export(module: nn.Module, size: Input, source: str, batches: tuple[int, ...]) -> Trace:
    """Return a trace with the first of these batch sizes that the module takes.

    Raises:
        ForwardFailed: it can't be traced with images of this size, or does not return one output for each image.
    """
    reason = ""
    for batch in batches:
        try:
            trace = read_program(_export_batch(module, (batch, *size)), source)
        except SourceError:
            raise
        except GuardOnDataDependentSymNode as error:
            reason = f"what it does depends on the values of the images, which a trace can't follow{place_text(error)}"
            continue
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            reason = reason_text(error)
            continue
        shape = trace.output.meta["val"].shape
        if shape and shape[0] == batch:
            return trace
        made = f"an output of {shape_text(tuple(map(int, shape)))}" if shape else "one number"
        reason = f"it makes {made} of {count_text(batch, 'image')}"
    raise ForwardFailed(reason)


def _export_batch(module: nn.Module, shape: Shape) -> ExportedProgram:
    first = next((one for one in module.parameters() if one.dtype.is_floating_point), None)
    dtype = torch.float32 if first is None else first.dtype
    device = torch.device("cpu") if first is None else first.device
    images = torch.zeros(shape, dtype=dtype, device=device)
    with quiet(), redirect_stderr(StringIO()) as printed:  # PyTorch prints all that it traced before a failure
        if any(isinstance(one, nn.UninitializedParameter) for one in module.parameters()):
            with torch.no_grad():
                module(images[:1])  # lazy modules take their sizes from what they read first
        program = torch.export.export(module, (images,), strict=False)
    sys.stderr.write(printed.getvalue())
    return program


@contextmanager
def quiet() -> Iterator[None]:
    """Silence PyTorch's warnings and logs; its exceptions say enough."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)


def _check_inputs(module: nn.Module, source: str) -> None:
    """Check that `forward` takes one tensor."""
    parameters = inspect.signature(module.forward).parameters.values()
    needed = [
        one.name for one in parameters
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]  # fmt: skip
    if len(needed) > 1:
        raise SourceError(
            f"{source}: its forward takes {len(needed)} inputs ({', '.join(needed)}); a network here reads one tensor "
            "of images: give a module that makes the others itself"
        )
    if not any(one.kind is not one.KEYWORD_ONLY for one in parameters):
        raise SourceError(f"{source}: its forward takes no input")


def trace_file(path: Path, source: str, size: Input | None = None) -> Trace:
    """Read an exported program from a .pt2 file, for images of `size` if it takes any but those it was exported with.

    Raises:
        SourceError: there is no such file, it was not written by `torch.export.save`, or it takes no such images.
    """
    if not path.is_file():
        raise SourceError(f"{source}: no such file")
    try:
        with quiet():
            program = torch.export.load(path)
            images = _images_of_any_size(program, size)
    except Exception as error:
        raise SourceError(f"{source}: torch.export.load can't read it: {reason_text(error)}") from error
    if images is None:
        return read_program(program, source)
    try:
        with quiet():
            program = torch.export.export(program.module(), (images,), strict=False)
    except Exception as error:
        sizes = shape_text(tuple(images.shape[1:]))
        raise SourceError(f"{source}: it takes no images of {sizes}: {reason_text(error)}") from error
    return read_program(program, source)


def _images_of_any_size(program: ExportedProgram, size: Input | None) -> Tensor | None:
    """Return images of `size`, or of that of the export, for a program that was exported for several sizes; else None.

    Their number is `BATCH`, or the nearest one that the program takes.
    """
    if not program.range_constraints:
        return None
    names = program.graph_signature.user_inputs
    image: Tensor = next(node.meta["val"] for node in program.graph.nodes if node.name == names[0])
    shape: Any = image.shape  # of numbers that may be symbolic
    batch, *sizes = shape
    allowed = program.range_constraints.get(batch.node.expr) if isinstance(batch, torch.SymInt) else None
    count = int(batch) if allowed is None else int(min(max(BATCH, allowed.lower), allowed.upper))
    return torch.zeros(count, *(size or map(int, sizes)), dtype=image.dtype, device=image.device)


def read_program(program: ExportedProgram, source: str) -> Trace:
    """Return a program with the nodes of its images, its output and its state.

    Raises:
        SourceError: it does not have one tensor of images and one output.
    """
    nodes = {node.name: node for node in program.graph.nodes}
    state: dict[str, Any] = {**program.constants, **program.state_dict}
    names = _first_names(state)
    images, parameters, buffers = [], {}, {}
    for one in program.graph_signature.input_specs:
        node = nodes.get(str(getattr(one.arg, "name", "")))
        if node is None:
            continue
        if one.kind is InputKind.USER_INPUT:
            images.append(node)
        elif one.kind is InputKind.PARAMETER:
            parameters[node] = names.get(str(one.target), str(one.target))
        else:
            buffers[node] = names.get(str(one.target), str(one.target))
    if len(images) != 1:
        raise SourceError(f"{source}: it has {len(images)} inputs; a network here reads one tensor of images")
    (image,) = images
    shape = _sizes(image.meta.get("val"))
    if shape is None or len(shape) != 4:
        found = "no tensor" if shape is None else f"a tensor of {shape_text(shape)}"
        raise SourceError(f"{source}: its input is {found}; allowed: images (N, channels, height, width)")
    outputs = [
        one.arg
        for one in program.graph_signature.output_specs
        if one.kind is OutputKind.USER_OUTPUT and getattr(one.arg, "name", None) in nodes
    ]
    if len(outputs) != 1:
        raise SourceError(
            f"{source}: its forward returns {len(outputs)} tensors; a network here has one output: give a module that "
            "returns that one"
        )
    return Trace(program, image, nodes[str(outputs[0].name)], parameters, buffers, state)


def _first_names(state: Mapping[str, Any]) -> dict[str, str]:
    """Return, for each name in a state, the first name of the same tensor: a model may have one under several names.

    A file that was saved and loaded has a tensor for each name, whose values are at the same place.
    """
    first: dict[object, str] = {}
    names = {}
    for name, value in state.items():
        place = value.data_ptr() if isinstance(value, Tensor) else 0  # 0 without memory
        key = (place, value.shape, value.stride()) if place else id(value)
        names[name] = first.setdefault(key, name)
    return names


def _sizes(value: object) -> Shape | None:
    return tuple(int(size) for size in value.shape) if isinstance(value, Tensor) else None
