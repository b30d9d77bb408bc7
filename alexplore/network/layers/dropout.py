"""Dropout."""

from __future__ import annotations

from dataclasses import dataclass

from alexplore.core.settings import number, setting
from alexplore.network.calls import Call
from alexplore.network.layers.base import Extra, Layer, Saved, keras_always
from alexplore.network.shapes import Shape, Shapes, elements


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Dropout(Layer):
    """While training, set a share `p` of the values to zero and scale the others by 1 / (1 − p)."""

    type = "dropout"
    title = "dropout of values"
    name_stem = "drop"
    random = True
    p: float = setting(number(0, 1), 0.5, "share of the values set to zero")

    def saved(self, inputs: Shapes, output: Shape, value_bytes: int) -> Saved:
        return Saved(extras=(Extra("its mask", elements(output)),) if 0 < self.p < 1 else ())

    def summary(self) -> str:
        return f"p {self.p:g}"

    def torch_call(self, inputs: Shapes) -> Call:
        return Call("nn.Dropout", (), {"p": self.p})

    def keras_calls(self, inputs: Shapes, pad_name: str) -> list[Call]:
        return [Call("layers.Dropout", (self.p,), keras_always(self))]
