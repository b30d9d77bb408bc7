"""A layer's settings as people read them."""

from __future__ import annotations

from typing import Any

from alexplore.core.settings import setting_fields
from alexplore.network.layers import Conv2d, Init, Layer, Pool2d
from alexplore.network.shapes import shape_text


def size_text(size: Any) -> str:
    """11×11 for one number or a pair."""
    return f"{size}×{size}" if isinstance(size, int) else shape_text(size)


def settings_text(layer: Layer) -> str:  # noqa: PLR0912 (one case for each setting)
    """A layer's settings in brief: `256 · 5×5 · pad 2 · 2 groups`; those at their defaults are left out."""
    words = []
    changed = {
        name: getattr(layer, name)
        for name, field in setting_fields(type(layer)).items()
        if getattr(layer, name) != field.default and name not in ("init", "stride", "in_channels", "in_features")
    }
    for name, value in changed.items():
        match name, value:
            case (("out_channels" | "out_features"), _):
                words.append(str(value))
            case "kernel_size", _:
                words.append(size_text(value) + _stride_text(layer))
            case "output_size", _:
                words.append(size_text(value))
            case "padding", str():
                words.append(value)
            case "padding", int():
                words.append(f"pad {value}")
            case "padding", _:
                words.append("pad " + ",".join(map(str, value)))
            case "groups", _:
                words.append(f"{value} groups")
            case (("bias" | "affine"), False):
                words.append(f"no {name}")
            case "trainable", False:
                words.append("frozen")
            case "ceil_mode", True:
                words.append("rounds up")
            case "region", _:
                words.append("within a channel")
            case _, _:
                words.append(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}")
    if layer.type == "dropout" and "p" not in changed:
        words.append(f"p {getattr(layer, 'p', 0):g}")
    return " · ".join(words)


def init_text(init: Init | None) -> str:
    """How weights and biases begin, in words."""
    if init is None:
        return "PyTorch's default"
    weights = "PyTorch's default" if init.std is None else f"weights ~ N(0, {init.std:g}²)"
    return weights + ("" if init.bias is None else f", biases {init.bias:g}")


def _stride_text(layer: Layer) -> str:
    stride = getattr(layer, "stride", None)
    if isinstance(layer, Pool2d):
        return "" if stride is None else f" / {_short_size(stride)}"
    return f" / {_short_size(stride)}" if isinstance(layer, Conv2d) and stride != 1 else ""


def _short_size(size: Any) -> str:
    return str(size) if isinstance(size, int) else shape_text(size)
