"""Batch normalisation."""

from __future__ import annotations

from typing import Any

from alexplore.core.settings import flag, number, setting
from alexplore.network.calls import Call, unless
from alexplore.network.formula import Formula, join_notes, number_text
from alexplore.network.layers.base import FP32_BYTES, Extra, Layer, Parameters, Saved, Unsupported, keras_always
from alexplore.network.layers.weighted import FROZEN_NOTE
from alexplore.network.shapes import Shape, Shapes, elements


class BatchNorm(Layer):
    """Normalise each channel, or feature, over the batch; 1-d or 2-d by its input. Source: PyTorch's `BatchNorm2d`."""

    type = "batch_norm"
    title = "batch normalisation"
    role = "norm"
    name_stem = "norm"
    overwritable = True
    eps: float = setting(number(0, above=True), 1e-5, "added to the variance")
    momentum: float = setting(number(0, 1), 0.1, "share of the new batch in the running statistics")
    affine: bool = setting(flag(), True, "whether it learns a scale and a shift", brief="no affine")
    trainable: bool = setting(flag(), True, "false freezes the layer", brief="frozen")

    def parameters(self, inputs: Shapes) -> Parameters:
        channels = inputs[0][0]
        learned = channels if self.affine else 0
        return Parameters(learned, learned, buffers=2 * channels)

    def fewest_images(self, inputs: Shapes) -> int:
        """Return 2 if an image has one value in a channel: one value has no variance."""
        return 2 if self.trainable and elements(inputs[0][1:]) == 1 else 1

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        statistics = Extra("the batch's statistics", 2 * output[0], FP32_BYTES, per_batch=True)
        return Saved(inputs=True, extras=(statistics,))

    def parameter_formula(self, inputs: Shapes) -> Formula:
        channels = number_text(inputs[0][0])
        note = f"and 2·{channels} running statistics, which are not learned"
        if not self.affine:
            return Formula("params", "0", 0, note)
        note = join_notes(note, "" if self.trainable else FROZEN_NOTE)
        return Formula("params", f"2·{channels}", self.parameters(inputs).total, note, "(scale + shift)·channels")

    def torch_call(self, inputs: Shapes) -> Call:
        (shape,) = inputs
        keywords = {
            "eps": unless(self.eps, 1e-5),
            "momentum": unless(self.momentum, 0.1),
            "affine": unless(self.affine, True),
        }
        return Call(f"nn.BatchNorm{1 if len(shape) == 1 else 2}d", (shape[0],), keywords)

    @classmethod
    def operator_settings(cls, call: Call, inputs: Shapes) -> dict[str, Any]:
        """Return the settings, whether the model was imported while it was trained or evaluated."""
        given = call.keywords
        if "running_mean" not in given:
            raise Unsupported("it keeps no running statistics (track_running_stats = False)")
        if not given["momentum"]:
            raise Unsupported("its running statistics never change, or are means over all batches (momentum = None)")
        return {"eps": given["eps"], "momentum": given["momentum"], "affine": "weight" in given}

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        keywords = {
            "momentum": round(1 - self.momentum, 12),  # Keras weighs the old statistics, PyTorch the new ones
            "epsilon": self.eps,
            "center": unless(self.affine, True),
            "scale": unless(self.affine, True),
            **keras_always(self),
        }
        return [Call("layers.BatchNormalization", (), keywords)]
