"""Normalisation of each image over all of its values."""

from __future__ import annotations

from typing import Any

from alexplore.core.settings import flag, number, setting
from alexplore.network.calls import Call, unless
from alexplore.network.formula import Formula, join_notes, product_text
from alexplore.network.layers.base import FP32_BYTES, Extra, Layer, Parameters, Saved, Unsupported, keras_always
from alexplore.network.layers.weighted import FROZEN_NOTE
from alexplore.network.shapes import Shape, Shapes, elements, shape_text


class LayerNorm(Layer):
    """Normalise each image by mean and variance over all channels and positions of a map, or all features of a vector.

    That is PyTorch's `LayerNorm` over all axes but the batch's, `nn.LayerNorm([channels, height, width])`: a scale and
    a shift for each value of a map, so that the network is bound to its input's size. Vision transformers and ConvNeXt
    normalise over the channels of each position instead. Source: Ba et al. 2016, "Layer Normalization".
    """

    type = "layer_norm"
    title = "normalisation over a whole image"
    role = "norm"
    name_stem = "norm"
    overwritable = True
    uses_statistics = True
    channels_first = True
    needs_all_values = "it normalises over all channels; use group_norm with as many groups as towers"
    eps: float = setting(number(0, above=True), 1e-5, "added to the variance")
    elementwise_affine: bool = setting(
        flag(), True, "whether it learns a scale and a shift for each value", brief="no affine"
    )
    bias: bool = setting(flag(), True, "whether it learns the shift too", brief="no bias")
    trainable: bool = setting(flag(), True, "false freezes the layer", brief="frozen")

    def parameters(self, inputs: Shapes) -> Parameters:
        if not self.elementwise_affine:
            return Parameters()
        values = elements(inputs[0])
        return Parameters(values, values if self.bias else 0)

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        """Return the input, and the statistics in the precision of the scale; without one, in the input's."""
        value_bytes = FP32_BYTES if self.elementwise_affine else value_bytes
        return Saved(inputs=True, extras=(Extra("mean and deviation", 2, value_bytes),))

    def parameter_formula(self, inputs: Shapes) -> Formula:
        if not self.elementwise_affine:
            return super().parameter_formula(inputs)
        values = product_text(inputs[0])
        rule = "channels·height·width" if len(inputs[0]) == 3 else "features"
        note = join_notes("" if self.trainable else FROZEN_NOTE)
        count = self.parameters(inputs).total
        if not self.bias:
            return Formula("params", values, count, note, rule)
        return Formula("params", f"2·{values}", count, note, f"(scale + shift)·{rule}")

    def torch_call(self, inputs: Shapes) -> Call:
        keywords = {
            "eps": unless(self.eps, 1e-5),
            "elementwise_affine": unless(self.elementwise_affine, True),
            "bias": unless(self.bias, True),
        }
        return Call("nn.LayerNorm", (list(inputs[0]),), keywords)

    @classmethod
    def operator_settings(cls, call: Call, inputs: Shapes) -> dict[str, Any]:
        """Return the settings of `layer_norm` over a whole image."""
        given = call.keywords
        if tuple(given["normalized_shape"]) != inputs[0]:
            raise Unsupported(f"it normalises over {shape_text(given['normalized_shape'])}, not over a whole image")
        affine = "weight" in given
        return {"eps": given.get("eps", 1e-5), "elementwise_affine": affine, "bias": not affine or "bias" in given}

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        keywords = {
            "axis": [1, 2, 3] if len(inputs[0]) == 3 else None,
            "epsilon": self.eps,
            "center": unless(self.elementwise_affine and self.bias, True),
            "scale": unless(self.elementwise_affine, True),
            **keras_always(self),
        }
        return [Call("layers.LayerNormalization", (), keywords)]
