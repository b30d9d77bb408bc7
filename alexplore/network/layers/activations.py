"""Activations: functions of each value, and softmax."""

from __future__ import annotations

from typing import Any, ClassVar

from alexplore.core.settings import choice, number, setting, setting_fields
from alexplore.network.calls import Call, unless
from alexplore.network.layers.base import Extra, Layer, Saved, Unsupported, keras_always
from alexplore.network.shapes import Shape, Shapes, elements, has_one_layout


class Activation(Layer):
    """A function of each value.

    A type names PyTorch's module, which takes the type's settings under their names, and Keras's layer.
    """

    role = "activation"
    torch_name: ClassVar[str] = ""
    """PyTorch's module, of a type that does not make its own call."""

    saves_output: ClassVar[bool] = False
    """Whether the backward pass reads the output, else the input."""

    keras: ClassVar[Call | None] = None
    """Keras's layer, without the arguments that every layer takes; None for a type that makes its own calls."""

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        return Saved(output=True) if self.saves_output else Saved(inputs=True)

    def torch_call(self, inputs: Shapes) -> Call:
        settings = setting_fields(type(self)).items()
        return Call(self.torch_name, (), {key: unless(getattr(self, key), field.default) for key, field in settings})

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        if self.keras is None:
            raise NotImplementedError(f"{self.type} says nothing about Keras")
        return [Call(self.keras.name, self.keras.arguments, {**self.keras.keywords, **keras_always(self)})]


class ReLU(Activation):
    """max(0, x)."""

    type = "relu"
    title = "max(0, x)"
    can_overwrite = True
    cuts_off = True
    torch_name = "nn.ReLU"
    saves_output = True
    keras = Call("layers.ReLU")


class ReLU6(Activation):
    """min(max(0, x), 6)."""

    type = "relu6"
    torch_operators = ("relu6", "hardtanh")
    title = "min(max(0, x), 6)"
    overwritable = True
    cuts_off = True
    torch_name = "nn.ReLU6"
    keras = Call("layers.ReLU", (), {"max_value": 6.0})

    @classmethod
    def operator_settings(cls, call: Call, inputs: Shapes) -> dict[str, Any]:
        """Return no settings: `hardtanh` is a ReLU6 from 0 to 6."""
        bounds = call.keywords.get("min_val", -1), call.keywords.get("max_val", 1)
        if call.name == "hardtanh" and bounds != (0, 6):
            raise Unsupported("it clips values from {:g} to {:g}".format(*bounds))
        return {}


class LeakyReLU(Activation):
    """x where x > 0, else negative_slope · x. Source: PyTorch's `LeakyReLU`."""

    type = "leaky_relu"
    title = "x where x > 0, else negative_slope · x"
    overwritable = True
    torch_name = "nn.LeakyReLU"
    negative_slope: float = setting(number(0), 1e-2, "factor of negative values", brief="slope {:g}")

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        return [Call("layers.LeakyReLU", (), {"negative_slope": self.negative_slope, **keras_always(self)})]


class ELU(Activation):
    """x where x > 0, else alpha · (e^x − 1). Source: PyTorch's `ELU`."""

    type = "elu"
    title = "x where x > 0, else alpha · (e^x − 1)"
    overwritable = True
    torch_name = "nn.ELU"
    alpha: float = setting(number(0), 1.0, "minus the limit for small values")

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        return [Call("layers.ELU", (), {"alpha": unless(self.alpha, 1.0), **keras_always(self)})]


class GELU(Activation):
    """x · Φ(x), where Φ is the normal distribution's; `tanh` approximates it. Source: PyTorch's `GELU`."""

    type = "gelu"
    title = "x · Φ(x), the normal distribution's"
    overwritable = True
    torch_name = "nn.GELU"
    keras = Call("layers.Activation", ("gelu",))
    approximate: str = setting(choice("none", "tanh"), "none", "how Φ is approximated", brief="by {}")

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        if self.approximate == "none":
            return super().keras_calls(inputs, pad_name)
        return [Call("GELUByTanh", (), keras_always(self), helper=KERAS_GELU_BY_TANH)]


class SiLU(Activation):
    """x / (1 + e^−x), also called swish."""

    type = "silu"
    title = "x / (1 + e^−x), swish"
    overwritable = True
    torch_name = "nn.SiLU"
    keras = Call("layers.Activation", ("silu",))


class Hardswish(Activation):
    """x · min(max(0, x + 3), 6) / 6. Source: PyTorch's `Hardswish`."""

    type = "hardswish"
    title = "x · min(max(0, x + 3), 6) / 6"
    overwritable = True
    cuts_off = True
    torch_name = "nn.Hardswish"
    keras = Call("layers.Activation", ("hard_silu",))


class Tanh(Activation):
    """tanh(x)."""

    type = "tanh"
    title = "tanh(x)"
    torch_name = "nn.Tanh"
    saves_output = True
    keras = Call("layers.Activation", ("tanh",))


class Sigmoid(Activation):
    """1 / (1 + e^−x)."""

    type = "sigmoid"
    title = "1 / (1 + e^−x)"
    torch_name = "nn.Sigmoid"
    saves_output = True
    keras = Call("layers.Activation", ("sigmoid",))


class Hardsigmoid(Activation):
    """min(max(0, x + 3), 6) / 6. Source: PyTorch's `Hardsigmoid`."""

    type = "hardsigmoid"
    title = "min(max(0, x + 3), 6) / 6"
    overwritable = True
    cuts_off = True
    torch_name = "nn.Hardsigmoid"
    keras = Call("layers.Activation", ("hard_sigmoid",))


class Softmax(Layer):
    """e^x / Σ e^x over the channels or features."""

    type = "softmax"
    title = "e^x / Σ e^x"
    reads_whole_vector = True
    channels_first = True
    needs_all_values = "it needs all values, before the last layer with weights"

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        if has_one_layout(output):
            return Saved(output=True)
        return Saved(extras=(Extra("its output with channels first", elements(output)),))

    @classmethod
    def operator_settings(cls, call: Call, inputs: Shapes) -> dict[str, Any]:
        """Return no settings, for a softmax over channels or features."""
        if call.keywords["dim"] not in (1, -len(inputs[0])):
            raise Unsupported(f"dim = {call.keywords['dim']} is not that of the channels or features")
        return {}

    def torch_call(self, inputs: Shapes) -> Call:
        return Call("nn.Softmax", (), {"dim": 1})

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        return [Call("layers.Softmax", (), keras_always(self))]


class LogSoftmax(Softmax):
    """x − log Σ e^x over the channels or features. Source: PyTorch's `LogSoftmax`."""

    type = "log_softmax"
    title = "x − log Σ e^x"

    def torch_call(self, inputs: Shapes) -> Call:
        return Call("nn.LogSoftmax", (), {"dim": 1})

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        return [Call("layers.Activation", ("log_softmax",), keras_always(self))]


KERAS_GELU_BY_TANH = '''
@keras.saving.register_keras_serializable()
class GELUByTanh(layers.Layer):
    """x · Φ(x), where Φ is approximated by tanh."""

    def call(self, values):
        return ops.gelu(values, approximate=True)

'''
