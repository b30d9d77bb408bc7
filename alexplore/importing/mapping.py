"""Map operations to layers: of the type that describes the operator, else opaque. No operation is left out."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.fx import Node

from alexplore.core.settings import SettingError, setting_fields
from alexplore.importing.errors import SourceError
from alexplore.importing.local_response_norm import NAME, Norm, find_norms
from alexplore.importing.operations import (
    ALIASES,
    ALIASES_OF_ONE,
    EXPANSIONS,
    RESHAPES,
    Operation,
    count_flops,
    image_shape,
    read_operations,
    sizes,
)
from alexplore.importing.tracing import Trace
from alexplore.network.calls import Call
from alexplore.network.graph import Network
from alexplore.network.layers import EDITABLE_TYPES, make_layer
from alexplore.network.layers.base import Layer, Unsupported
from alexplore.network.layers.flatten import Flatten, Unflatten
from alexplore.network.layers.merge import Mul
from alexplore.network.layers.names import INPUT, is_layer_name
from alexplore.network.layers.opaque import Opaque
from alexplore.network.layers.sliding import Sliding
from alexplore.network.shapes import Shape, ShapeError, elements

RESHAPING = (Flatten, Unflatten)
"""Types that are recognised by the shapes before and after, whichever operator reshaped the value."""

TYPES: Mapping[str, type[Layer]] = {
    name: cls for cls in EDITABLE_TYPES.values() if cls not in RESHAPING for name in cls.torch_operators or (cls.type,)
}
"""The other layer types by the names of their operators in PyTorch."""


@dataclass(eq=False)
class Value:
    """A tensor: the layer whose output it is, None for the images, and its shape, with the batch."""

    layer: Made | None
    shape: Shape


@dataclass(eq=False)
class Made:
    """A new layer: its type and settings, the values that it reads, its name, which may not be unique, its tensors."""

    cls: type[Layer]
    settings: dict[str, Any]
    reads: list[Value]
    name: str
    output: Shape
    tensors: dict[str, Tensor | str] = field(default_factory=dict)
    """Names in the model's state, by their names in the layer's module; or the tensor itself."""


@dataclass(frozen=True)
class Reshaped:
    """A tensor in another shape, with its elements in the same order; a layer only if something reads it like that."""

    value: Value
    shape: Shape
    operation: Operation


@dataclass(frozen=True)
class Padded:
    """A value with a border, which may become the padding of the layer that reads it."""

    value: Value
    operation: Operation


@dataclass(frozen=True)
class Broadcast:
    """A value repeated along some axes, which a product of layers does by itself."""

    value: Value
    operation: Operation


@dataclass(frozen=True)
class Imported:
    """A network, the names of its layers' tensors in the model's state, and warnings."""

    network: Network
    tensors: Mapping[str, str | Tensor]
    warnings: tuple[str, ...]


def import_trace(trace: Trace, source: str) -> Imported:
    """Return the network of a trace.

    Raises:
        SourceError: nothing in it depends on the images.
    """
    mapping = _Mapping(trace)
    mapping.run()
    if not mapping.made:
        raise SourceError(f"{source}: its forward does nothing with its input")
    return mapping.imported()


class _Mapping:
    """The state of an import: the value of each node so far, the layers, and the parameters that were counted."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.values: dict[Node, Value | Reshaped | Padded | Broadcast] = {trace.image: Value(None, sizes(trace.image))}
        self.made: list[Made] = []
        self.counted: set[str] = set()
        self.unknown_macs: list[Made] = []
        self.calculated: set[Node] = set()

    def run(self) -> None:
        """Add all layers."""
        norms = {norm.output: norm for norm in find_norms(self.trace)}
        inside = {node for norm in norms.values() for node in norm.inside}
        for operation in read_operations(self.trace):
            if operation.node in norms:
                self.add_norm(norms[operation.node], operation)
            elif operation.node not in inside:
                self.add(operation)
        self.read(self.trace.output)
        self.add_unused()

    def add(self, operation: Operation) -> None:
        """Set the value of an operation: the output of a new layer, or its input reshaped, padded or repeated."""
        node = operation.node
        if (
            operation.inputs
            and not operation.weights
            and not operation.derived
            and (len(operation.inputs) == 1 or operation.name == "expand_as")
        ):
            source = operation.inputs[0]
            before, shape = sizes(source) if _is_tensor(source) else (), sizes(node)
            same_type = _is_tensor(source) and source.meta["val"].dtype == node.meta["val"].dtype
            if operation.name in (*ALIASES, *ALIASES_OF_ONE) and before == shape and same_type:
                self.values[node] = self.values[source]
                return
            if operation.name in RESHAPES and elements(before) == elements(shape) and _is_tensor(source):
                known = self.values[source]
                value = known.value if isinstance(known, Reshaped) else self.read(source)
                self.values[node] = value if value.shape == shape else Reshaped(value, shape, operation)
                return
            if operation.name in EXPANSIONS and len(before) == len(shape) == 4:
                self.values[node] = Broadcast(self.read(source), operation)
                return
            if operation.name == "pad" and len(shape) == 4:
                self.values[node] = Padded(self.read(source), operation)
                return
        try:
            self.values[node] = self.described(operation)
        except (Unsupported, SettingError, ShapeError) as error:
            reason = _reason(error) if operation.name in TYPES else "no layer type describes it"
            self.values[node] = self.opaque(operation, [self.read(one) for one in operation.inputs], reason)

    def add_norm(self, norm: Norm, operation: Operation) -> None:
        """Add a local response normalisation."""
        try:
            self.values[norm.output] = self.layer(TYPES[NAME], norm.settings, [self.read(norm.source)], operation)
        except (SettingError, ShapeError) as error:
            self.values[norm.output] = self.opaque(operation, [self.read(norm.source)], _reason(error))

    # Layers.

    def read(self, node: Node) -> Value:
        """Return the value of a node; if it was only reshaped, padded or repeated so far, add a layer for that.

        Raises:
            KeyError: the node is one of several outputs, which has no value.
        """
        known = self.values.get(node)
        if known is None:  # one of several outputs; no layer has it as its only output
            raise KeyError(node)
        if isinstance(known, Reshaped):
            self.values[node] = known = self.reshaped(known)
        elif isinstance(known, Padded):
            self.values[node] = known = self.opaque(known.operation, [known.value], "no layer after it pads like this")
        elif isinstance(known, Broadcast):
            reads = [known.value, *(self.read(one) for one in known.operation.inputs[1:])]
            self.values[node] = known = self.opaque(
                known.operation, reads, "no layer after it repeats values like this"
            )
        return known

    def reshaped(self, reshaped: Reshaped) -> Value:
        """Return a value in another shape: flattened, as a map, or by an opaque layer."""
        batch, operation, value, shape = self.trace.batch, reshaped.operation, reshaped.value, reshaped.shape
        if shape[0] != batch or value.shape[0] != batch or {len(shape), len(value.shape)} - {2, 4}:
            return self.opaque(operation, [value], "no layer type gives such a shape", shape)
        if len(value.shape) == 4:
            value = self.layer(Flatten, {}, [value], operation, (batch, elements(shape) // batch))
        if len(shape) == 4:
            value = self.layer(Unflatten, {"unflattened_size": shape[1:]}, [value], operation, shape)
        return value

    def described(self, operation: Operation) -> Value:
        """Return the output of a layer whose type describes an operation.

        Raises:
            Unsupported, SettingError, ShapeError: no type does; the message says why.
        """
        cls = TYPES.get(operation.name)
        if cls is None or not operation.inputs:
            raise Unsupported("no layer type describes it")
        if operation.derived:
            raise Unsupported("it reads a tensor that is calculated from parameters")
        if operation.node is not operation.call and operation.node.args[1] != 0:
            raise Unsupported("its second output is read")
        reads = [self.values[one] for one in operation.inputs]
        if mean := self.mean_of_pixels(cls, operation, reads[0]):
            return mean
        padded = reads[0] if len(reads) == 1 and isinstance(reads[0], Padded) else None
        if padded:
            values = [padded.value]
        elif cls is Mul:
            values = [
                one.value if isinstance(one, Broadcast) else self.read(node)
                for one, node in zip(reads, operation.inputs, strict=True)
            ]
        else:
            values = [self.read(one) for one in operation.inputs]
        _check_operands(cls, operation, len(values))
        if any(name in self.counted for name in operation.parameters):
            raise Unsupported(f"it uses {' and '.join(operation.parameters)} again, which a layer before it has")
        keywords = {**operation.arguments, **{key: sizes(node) for key, node in operation.weights.items()}}
        reduces = cls.role == "pool" and len(sizes(operation.node)) == 2
        keywords.pop("keepdim", None)
        batch, shapes = self.trace.batch, tuple(value.shape for value in values)
        if any(shape[:1] != (batch,) for shape in (*shapes, sizes(operation.node))):
            raise Unsupported("the batch is not its first axis")
        inputs = tuple(shape[1:] for shape in shapes)
        settings = cls.operator_settings(Call(operation.name, (), keywords), inputs)
        if padded:
            settings = _padded_settings(cls, settings, padded.operation)
        if "trainable" in setting_fields(cls):
            settings |= self.frozen(operation.parameters)
        shape = sizes(operation.node)
        value = self.layer(cls, settings, values, operation, (*shape, 1, 1) if reduces else shape)
        return self.layer(Flatten, {}, [value], operation, shape) if reduces else value

    def mean_of_pixels(self, cls: type[Layer], operation: Operation, read: object) -> Value | None:
        """Return the output of a pool to one pixel, written like `x.flatten(2).mean(-1)`; None if it is not one."""
        if cls.role != "pool" or not isinstance(read, Reshaped) or operation.arguments.get("keepdim"):
            return None
        before, dims = read.value.shape, operation.arguments.get("dim", ())
        pixels = (*before[:2], math.prod(before[2:]))
        if len(before) != 4 or read.shape != pixels or list(dims) not in ([2], [-1]):
            return None
        pool = self.layer(cls, {"output_size": 1}, [read.value], operation, (*before[:2], 1, 1))
        return self.layer(Flatten, {}, [pool], operation, before[:2])

    def layer(
        self, cls: type[Layer], settings: dict[str, Any], reads: list[Value], operation: Operation, shape: Shape = ()
    ) -> Value:
        """Add a layer for an operation, and return its output.

        Raises:
            SettingError, ShapeError, Unsupported: its output shape or its parameters are not those of the operation.
        """
        shape = shape or sizes(operation.node)
        inputs = tuple(value.shape[1:] for value in reads)
        names = {"inputs": [f"input{number}" for number in range(len(reads))]} if cls.fewest_inputs > 1 else {}
        layer = make_layer(cls, "it", {**settings, **names})
        if layer.output_shape(inputs) != shape[1:]:
            raise Unsupported(f"{cls.type} gives another shape")
        own = operation.parameters if cls not in RESHAPING else ()
        if layer.parameters(inputs).total != sum(self.count(name) for name in own):
            raise Unsupported(f"{cls.type} has another number of parameters")
        made = Made(cls, settings, reads, self.name(cls.name_stem or cls.type, operation, cls), shape)
        if cls not in RESHAPING:
            made.tensors = self.tensors(operation)
        return self.append(made, own)

    def opaque(self, operation: Operation, reads: list[Value], reason: str, shape: Shape = ()) -> Value:
        """Add an opaque layer for an operation and return its output."""
        shape, batch = shape or sizes(operation.node), self.trace.batch
        own = [name for name in operation.parameters if name not in self.counted]
        kept = [name for name in operation.buffers if name not in self.counted]
        macs = self.macs(operation) if operation.call not in self.values else 0
        made = Made(
            Opaque,
            {
                "operator": operation.name,
                "recorded_inputs": [image_shape(value.shape, batch) for value in reads],
                "recorded_output": image_shape(shape, batch),
                "recorded_params": sum(map(self.count, own)),
                "recorded_buffers": sum(map(self.count, kept)),
                "recorded_macs": macs or 0,
                "reason": reason,
                **self.frozen(own),
            },
            reads,
            self.name(operation.name, operation, Opaque),
            shape,
            dict(zip((name.replace(".", "_") for name in (*own, *kept)), (*own, *kept), strict=True)),
        )
        if macs is None:
            self.unknown_macs.append(made)
        if operation.call is not operation.node:
            self.values[operation.call] = Value(made, shape)  # its other outputs cost nothing more
        return self.append(made, (*own, *kept))

    def macs(self, operation: Operation) -> int | None:
        """Return the MACs of an operation and of the calculations from parameters alone that it needs once a batch.

        None if some are not known.
        """
        counts = [operation.macs()]
        for node in operation.before:
            if node.op == "call_function" and node not in self.calculated:
                self.calculated.add(node)
                flops = count_flops(node) if isinstance(node.meta.get("val"), Tensor) else 0
                counts.append(None if flops is None else flops // 2)
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def append(self, made: Made, own: Iterable[str]) -> Value:
        """Add a layer, with the parameters that are counted with it, and return its output."""
        self.counted.update(own)
        self.made.append(made)
        return Value(made, made.output)

    def add_unused(self) -> None:
        """Add the parameters that the output does not depend on, as a layer that changes nothing."""
        names = dict.fromkeys(self.trace.parameters.values())
        unused = [name for name in names if name not in self.counted]
        if not unused or not self.made:
            return
        last = self.made[-1]
        shape = image_shape(last.output, self.trace.batch)
        rest = f" and {len(unused) - 1} more" if len(unused) > 1 else ""
        settings = {
            "operator": UNUSED,
            "recorded_inputs": [shape],
            "recorded_output": shape,
            "recorded_params": sum(map(self.count, unused)),
            "reason": f"the output does not depend on {unused[0]}{rest}",
            **self.frozen(unused),
        }
        tensors: dict[str, Tensor | str] = {name.replace(".", "_"): name for name in unused}
        made = Made(Opaque, settings, [Value(last, last.output)], "unused", last.output, tensors)
        self.append(made, unused)

    # What is known about parameters.

    def count(self, name: str) -> int:
        """Return the number of values of a parameter or buffer."""
        return math.prod(self.trace.state[name].shape) if name in self.trace.state else 0

    def frozen(self, names: Collection[str]) -> dict[str, Any]:
        """Return the setting of a layer whose parameters, of these names, are all frozen; nothing for any other."""
        trained = any(self.trace.state[name].requires_grad for name in names)
        return {} if trained or not names else {"trainable": False}

    def is_partly_frozen(self, made: Made) -> bool:
        """Return whether a layer that is described has parameters of which some are trainable and others are not."""
        tensors = [self.trace.state.get(name) for name in made.tensors.values() if isinstance(name, str)]
        flags = {tensor.requires_grad for tensor in tensors if isinstance(tensor, nn.Parameter)}
        return made.cls is not Opaque and len(flags) > 1

    def tensors(self, operation: Operation) -> dict[str, Tensor | str]:
        """Return the tensors of a layer's module by their names in it, which are those of the operator's arguments."""
        names = {**self.trace.parameters, **self.trace.buffers}
        own: dict[str, Tensor | str] = {key: names[node] for key, node in operation.weights.items()}
        if "running_mean" in own:
            tracked = str(own["running_mean"]).removesuffix("running_mean") + "num_batches_tracked"
            import torch

            own["num_batches_tracked"] = tracked if tracked in self.trace.state else torch.tensor(0)
        return own

    # Names.

    def name(self, stem: str, operation: Operation, cls: type[Layer]) -> str:
        """Return the path of the module that an operation belongs to, with `stem` if that module is not one layer."""
        path, module = operation.module
        parts = re.sub(r"[^A-Za-z0-9_]+", "_", path).strip("_")
        of_pytorch = module.startswith("torch.nn.modules.") and not module.startswith("torch.nn.modules.container")
        of_pytorch = of_pytorch or module.endswith(".OnnxNode")
        words = [parts] if of_pytorch and parts and cls is not Flatten else [parts, stem] if parts else [stem]
        if cls is Flatten and parts and module.endswith((".Flatten", ".OnnxNode")):
            words = [parts]
        name = "_".join(words)
        if name[0].isdigit():
            name = f"{stem}{name}" if len(words) == 1 else f"block{name}"
        return name if is_layer_name(name) else f"{name.strip('_')}_layer"

    def imported(self) -> Imported:
        """Return the network, with a unique name for each layer."""
        names = dict(zip(self.made, unique([made.name for made in self.made]), strict=True))
        layers = []
        for position, made in enumerate(self.made):
            read = [INPUT if value.layer is None else names[value.layer] for value in made.reads]
            before = names[self.made[position - 1]] if position else INPUT
            inputs = {} if read == [before] and made.cls.most_inputs == 1 else {"inputs": read}
            layers.append(make_layer(made.cls, names[made], {**made.settings, **inputs}))
        _, channels, height, width = sizes(self.trace.image)
        tensors = {f"{names[made]}.{key}": tensor for made in self.made for key, tensor in made.tensors.items()}
        return Imported(Network((channels, height, width), tuple(layers)), tensors, tuple(self.warnings(names)))

    def warnings(self, names: Mapping[Made, str]) -> Iterable[str]:
        """Yield warnings about the imported model."""
        opaque = [made for made in self.made if made.cls is Opaque]
        if opaque:
            kinds = Counter(made.settings["operator"] for made in opaque)
            operators = ", ".join(f"{count} × {kind}" if count > 1 else kind for kind, count in kinds.items())
            listed = ", ".join(names[made] for made in opaque[:MOST_LISTED])
            listed += f" and {len(opaque) - MOST_LISTED} more" if len(opaque) > MOST_LISTED else ""
            yield (
                f"warning: {len(opaque)} of {len(self.made)} layers are opaque ({operators}): {listed}. They are shown "
                "and counted; a network with such layers can't be trained or exported as code"
            )
        if self.made and (last := self.made[-1]).settings.get("operator") == UNUSED:
            yield f"{names[last]} only holds parameters that the output does not depend on: it can be removed"
        if partly := ", ".join(names[made] for made in self.made if self.is_partly_frozen(made)):
            yield f"warning: only a part of the parameters of {partly} is frozen; here a layer is trained whole, or not"
        if self.unknown_macs:
            unknown = ", ".join(names[made] for made in self.unknown_macs)
            yield f"warning: the MACs of {unknown} are not known and count 0"


MOST_LISTED = 6
UNUSED = "unused parameters"


def unique(wanted: list[str]) -> list[str]:
    """Return unique names: names that occur several times get numbers."""
    several = {name for name, count in Counter(wanted).items() if count > 1}
    taken = set(wanted) - several
    numbers: Counter[str] = Counter()
    found = []
    for name in wanted:
        own = name
        while own in taken or (name in several and own == name):
            numbers[name] += 1
            own = f"{name}{'_' if name[-1].isdigit() else ''}{numbers[name]}"
        if name in several:
            taken.add(own)
            found.append(own)
        else:
            found.append(name)
    return found


def _is_tensor(node: Node) -> bool:
    return isinstance(node.meta.get("val"), Tensor)


def _reason(error: Exception) -> str:
    return str(error).removeprefix("layer it ").removeprefix("it ").strip() or type(error).__name__


def _check_operands(cls: type[Layer], operation: Operation, read: int) -> None:
    """Check that an operation that reads `read` layers has the operands of a layer type.

    Raises:
        Unsupported: it reads fewer, or its weights depend on the images.
    """
    if read < cls.fewest_inputs:
        numbers = [value for value in operation.arguments.values() if isinstance(value, int | float)]
        if operation.weights:
            raise Unsupported(f"its other operand is {' and '.join(operation.parameters or operation.buffers)}")
        raise Unsupported(f"its other operand is {numbers[0]:g}" if numbers else "it reads one layer")
    if cls.fewest_inputs == 1 and (read > 1 or "input" in operation.weights):
        raise Unsupported("its weights are calculated from the images")


def _padded_settings(cls: type[Layer], settings: dict[str, Any], pad: Operation) -> dict[str, Any]:
    """Return the settings with which a layer does the padding of the operation `pad` before it.

    Raises:
        Unsupported: the layer can't pad like that.
    """
    if not issubclass(cls, Sliding):
        raise Unsupported(f"{cls.type} pads nothing")
    mode, value = pad.arguments.get("mode", "constant"), pad.arguments.get("value") or 0.0
    return cls.padded_settings(settings, [*pad.arguments["pad"], 0, 0][:4], mode, value)
