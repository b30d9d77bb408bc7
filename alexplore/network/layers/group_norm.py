"""Normalisation of each image over groups of channels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from alexplore.core.settings import flag, integer, number, setting
from alexplore.network.calls import Call, unless
from alexplore.network.changes import Change, Produce, Set
from alexplore.network.formula import Formula, join_notes, number_text
from alexplore.network.layers.base import FP32_BYTES, Extra, Layer, Parameters, Saved, Unsupported, keras_always
from alexplore.network.layers.weighted import FROZEN_NOTE, divisors
from alexplore.network.shapes import Shape, ShapeError, Shapes, elements


class GroupNorm(Layer):
    """Normalise groups of channels, or features, of each image: by mean and variance over a group and all positions.

    Sources: PyTorch's `GroupNorm`; Wu & He 2018, "Group Normalization".
    """

    type = "group_norm"
    title = "normalisation over groups of channels"
    role = "norm"
    name_stem = "norm"
    overwritable = True
    features_in_any_order = False
    uses_statistics = True
    example = {"num_groups": 2}  # noqa: RUF012 (a ClassVar of the base class)
    num_groups: int = setting(integer(1), doc="groups that the channels are divided into", brief="{} groups")
    eps: float = setting(number(0, above=True), 1e-5, "added to the variance")
    affine: bool = setting(flag(), True, "whether it learns a scale and a shift", brief="no affine")
    trainable: bool = setting(flag(), True, "false freezes the layer", brief="frozen")

    def output_shape(self, inputs: Shapes) -> Shape:
        (shape,) = inputs
        if shape[0] % self.num_groups:
            what = "channels" if len(shape) == 3 else "features"
            raise ShapeError(f"{self.name}: {shape[0]} {what} don't divide into {self.num_groups} groups")
        if elements(shape) == self.num_groups:
            raise ShapeError(f"{self.name}: each of its {self.num_groups} groups is one value, which has no variance")
        return shape

    def parameters(self, inputs: Shapes) -> Parameters:
        learned = inputs[0][0] if self.affine else 0
        return Parameters(learned, learned)

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        """Return the input, and the statistics in the precision of the scale; without one, in the input's."""
        value_bytes = FP32_BYTES if self.affine else value_bytes
        return Saved(inputs=True, extras=(Extra("mean and deviation of each group", 2 * self.num_groups, value_bytes),))

    def parameter_formula(self, inputs: Shapes) -> Formula:
        if not self.affine:
            return super().parameter_formula(inputs)
        note = join_notes("" if self.trainable else FROZEN_NOTE)
        expression = f"2·{number_text(inputs[0][0])}"
        return Formula("params", expression, self.parameters(inputs).total, note, "(scale + shift)·channels")

    def fixes(self, inputs: Shapes) -> Iterator[Change]:
        (shape,) = inputs
        fitting = [groups for groups in divisors(shape[0]) if groups < elements(shape)]
        if fitting:
            yield Set("num_groups", min(fitting, key=lambda groups: (abs(groups - self.num_groups), groups)))
        yield Produce(max(1, round(shape[0] / self.num_groups)) * self.num_groups)

    def tower_share(self, towers: int) -> Layer:
        if self.num_groups % towers:
            raise Unsupported(f"its {self.num_groups} groups don't lie inside {towers} towers")
        return dataclasses.replace(self, num_groups=self.num_groups // towers)

    def torch_call(self, inputs: Shapes) -> Call:
        keywords = {"eps": unless(self.eps, 1e-5), "affine": unless(self.affine, True)}
        return Call("nn.GroupNorm", (self.num_groups, inputs[0][0]), keywords)

    @classmethod
    def operator_settings(cls, call: Call, inputs: Shapes) -> dict[str, Any]:
        """Return the settings of `group_norm`."""
        given = call.keywords
        return {"num_groups": given["num_groups"], "eps": given.get("eps", 1e-5), "affine": "weight" in given}

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        keywords = {
            "epsilon": self.eps,
            "center": unless(self.affine, True),
            "scale": unless(self.affine, True),
            **keras_always(self),
        }
        return [Call("layers.GroupNormalization", (self.num_groups,), keywords)]
