"""The base class of layer types. A layer type is one class in one file of this folder.

A type is a frozen dataclass (see `Declared`); its settings have PyTorch's names, meanings and defaults, in
snake case. Each method is a pure function of the settings and of the shapes of the layer's inputs; most types read one
input: `(shape,) = inputs`. Methods and flags that a type does not define have a default here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from alexplore.core.declared import Declared
from alexplore.core.errors import AlexploreError
from alexplore.core.settings import setting_fields, settings_of
from alexplore.network.calls import Call
from alexplore.network.changes import Change
from alexplore.network.formula import Formula, product_text
from alexplore.network.layers.init import Init
from alexplore.network.shapes import Shape, Shapes, elements, shape_text
from alexplore.network.windows import Windows


class Unsupported(AlexploreError):
    """A layer that has no equivalent in another library, or can't be split into towers; the message says why."""


class Parameters(NamedTuple):
    """The numbers of learned values (`weights`, `biases`) and of other stored values (`buffers`) of a layer."""

    weights: int = 0
    biases: int = 0
    buffers: int = 0

    @property
    def total(self) -> int:
        """Weights and biases: what PyTorch's `parameters()` holds."""
        return self.weights + self.biases


NO_PARAMETERS = Parameters()

FP32_BYTES = 4
"""Bytes of a parameter, and of an activation if PyTorch does not use fewer bits."""


class Extra(NamedTuple):
    """A tensor that a layer keeps for its backward pass besides its input and output: `values` for each image.

    A value takes `value_bytes` bytes; if that is None, as many as an activation. With `per_batch`, the values are
    counted once for the whole batch.
    """

    what: str
    values: int
    value_bytes: int | None = None
    per_batch: bool = False


class Saved(NamedTuple):
    """The tensors that autograd keeps from a layer's forward pass for its backward pass.

    `inputs` and `output` tell whether these are kept, and `factors` whether the inputs are the factors of a product,
    each kept for the gradient of the others. `copied` is the number of values for each image of a copy of the input
    that is kept in its place. Source: the saved values of PyTorch's derivatives.yaml, for layers as
    `alexplore.training.model` builds them.
    """

    inputs: bool = False
    output: bool = False
    factors: bool = False
    copied: int = 0
    extras: tuple[Extra, ...] = ()


SAVES_NOTHING = Saved()


class Layer(Declared):
    """One layer: its name, the layers that it reads, and its settings.

    `inputs` is empty if it reads only the layer before it.
    """

    type: ClassVar[str] = ""
    title: ClassVar[str] = ""
    """A description in a few words, for a list of types."""

    role: ClassVar[str] = ""
    """The group of types that can replace each other: "activation", "norm", "pool", "merge"; else empty."""

    fewest_inputs: ClassVar[int] = 1
    most_inputs: ClassVar[int | None] = 1

    neurons: ClassVar[bool] = False
    """Whether its outputs are weighted sums, each a neuron."""

    reads_whole_vector: ClassVar[bool] = False
    """Whether each of its outputs reads all features of a vector, so that it sees all that they see."""

    features_in_any_order: ClassVar[bool] = True
    """Whether a vector with its features in another order gives the same outputs, in that order."""

    uses_statistics: ClassVar[bool] = False
    """Whether an output also depends on statistics of the whole map, which its receptive field leaves out."""

    produces: ClassVar[str | None] = None
    """The setting with the number of output channels or features, None if the input determines it."""

    slides: ClassVar[bool] = False
    """Whether a window slides over its input, so that the output's height and width follow from the input's."""

    fixes_size: ClassVar[bool] = False
    """Whether its output's height or width is a setting, and does not depend on the input's."""

    overwritable: ClassVar[bool] = False
    """Whether its backward pass does not need its output, so that the next layer may overwrite it."""

    can_overwrite: ClassVar[bool] = False
    """Whether PyTorch's module can write its output over its input (`inplace`): its backward pass needs no input."""

    channels_first: ClassVar[bool] = False
    """Whether PyTorch's module writes maps with their channels first in memory; training puts them last again."""

    lowers_precision: ClassVar[bool] = False
    """Whether autocast converts its input to 16 bits, also from fp32. Source: PyTorch's documentation of
    `torch.amp`, "CPU ops that can autocast to lower precision".
    """

    cuts_off: ClassVar[bool] = False
    """Whether it outputs exactly 0 for all inputs below some number, so that a unit can be 0 for every image."""

    random: ClassVar[bool] = False
    """Whether it draws random numbers while training, which towers that hold the same input would draw differently."""

    needs_all_values: ClassVar[str] = ""
    """Why it can't be split into towers, by channels; empty if it can."""

    recorded: ClassVar[bool] = False
    """Whether its numbers were recorded when a model was imported: it can't be added, edited, trained or exported."""

    torch_operators: ClassVar[tuple[str, ...]] = ()
    """PyTorch's operators that do what a layer of this type does; the operator with the type's name if empty."""

    example: ClassVar[Mapping[str, Any]] = {}
    """Settings, besides the defaults, of a new layer of this type: in the editor, in tests and in benchmarks."""

    name_stem: ClassVar[str] = ""
    """The name of a new layer without its number, such as "conv"; the type itself if empty."""

    name: str
    inputs: tuple[str, ...] = ()

    # Numbers that follow from the shapes of the inputs.

    def output_shape(self, inputs: Shapes) -> Shape:
        """Return the shape of the output.

        Raises:
            ShapeError: the layer can't read these shapes.
        """
        return inputs[0]

    def parameters(self, inputs: Shapes) -> Parameters:
        """Return the numbers of parameters and buffers, for inputs that it can read."""
        return NO_PARAMETERS

    def windows(self, inputs: Shapes) -> Windows | None:
        """Return the windows along height and width that one output reads, or None if it reads one position."""
        return None

    def macs(self, inputs: Shapes, output: Shape, parameters: Parameters) -> int:
        """Return the multiplications by weights for one image: every weight at every position of a neuron."""
        return parameters.weights * elements(output[1:]) if self.neurons else 0

    # Training.

    def fewest_images(self, inputs: Shapes) -> int:
        """Return the smallest batch, in images, that the layer can be trained on."""
        return 1

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        """Return the tensors that autograd keeps, if an activation takes `value_bytes` bytes."""
        return SAVES_NOTHING

    def is_view(self, inputs: Shapes) -> bool:
        """Return whether the output shares the input's memory, as a view of another shape."""
        return False

    # The arithmetic, written out.

    def output_formulas(self, inputs: Shapes, output: Shape) -> Iterator[Formula]:
        """Yield the formulas of the output's size."""
        yield Formula("output", product_text(output), elements(output), f"{shape_text(output)}, as it reads")

    def parameter_formula(self, inputs: Shapes) -> Formula:
        """Return the formula of the number of parameters."""
        return Formula("params", "0", 0, "it learns nothing")

    def kernel_text(self, inputs: Shapes) -> tuple[str, str]:
        """Return the values that one kernel reads, and the number of kernels, of a layer with neurons."""
        raise NotImplementedError

    # Changes with which it could read its input.

    def fixes(self, inputs: Shapes) -> Iterator[Change]:
        """Yield changes that may fix the first reason for which it can't read `inputs`, the nearest first."""
        yield from ()

    # The split into towers.

    def tower_share(self, towers: int) -> Layer:
        """Return one tower's part of the layer, for an input whose channels are split over `towers` towers.

        Raises:
            Unsupported: it can't be split.
        """
        if self.needs_all_values:
            raise Unsupported(self.needs_all_values)
        return self

    # Texts.

    def summary(self) -> str:
        """Return the settings in brief: `256 · 5×5 · pad 2 · 2 groups`; those at their defaults are left out."""
        parts = (
            self.setting_text(key, getattr(self, key))
            for key, field in setting_fields(type(self)).items()
            if key != "inputs" and getattr(self, key) != field.default
        )
        return " · ".join(part for part in parts if part)

    def setting_text(self, key: str, value: Any) -> str:
        """Return one setting in the brief form of its declaration; empty if it is not shown."""
        brief = setting_fields(type(self))[key].metadata["brief"]
        if brief is not None:
            return str(brief.format(value))
        return f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"

    # Other libraries.

    def torch_call(self, inputs: Shapes) -> Call:
        """Return the call of PyTorch's module for the layer, or of a class that exported code defines."""
        raise NotImplementedError

    @classmethod
    def operator_settings(cls, call: Call, inputs: Shapes) -> dict[str, Any]:
        """Return the settings of a layer that does what a call of one of `torch_operators` does: `torch_call` reversed.

        `call.keywords` are the operator's arguments by their names in PyTorch, without its inputs and without those at
        the operator's default; a weight is given as its shape. Most settings have the names of these arguments.

        Raises:
            Unsupported: a layer of this type can't do that; the message says why.
        """
        settings = setting_fields(cls)
        for key, value in call.keywords.items():
            if key not in settings:
                raise Unsupported(f"{cls.type} has no {key} = {value}")
        return dict(call.keywords)

    def torch_padding(self, inputs: Shapes) -> Call | None:
        """Return a module that pads the input first, where PyTorch's own layer can't pad like this one."""
        return None

    def torch_expression(self, inputs: Sequence[str]) -> Call | str | None:
        """Return a call or an operation, `a + b`, of the named inputs, for a layer that is no module in PyTorch."""
        return None

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        """Return Keras's layers, applied one after another; `pad_name` is the name for a layer that pads first.

        Raises:
            Unsupported: Keras has no equivalent; the message names the layer.
        """
        raise NotImplementedError

    @property
    def initial_weights(self) -> Init | None:
        """How its weights are initialised, None for PyTorch's default."""
        return None

    # The same for every type.

    @property
    def trains(self) -> bool:
        """Whether the optimizer may change this layer's parameters."""
        return bool(getattr(self, "trainable", True))

    def settings(self, *, defaults: bool = True) -> dict[str, Any]:
        """Return the settings by name, in the form of a preset file, without name, type and inputs."""
        values = settings_of(self, defaults=defaults)
        values.pop("inputs", None)
        return values

    def compared_settings(self) -> dict[str, Any]:
        """Return the settings for a comparison: those that mean the same have the same value."""
        return self.settings()


def keras_always(layer: Layer) -> dict[str, Any]:
    """Return the keyword arguments that every Keras layer takes."""
    return {"trainable": None if layer.trains else False, "name": layer.name}
