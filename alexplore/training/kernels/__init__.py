"""Modules used in place of PyTorch's, because they are faster or support other paddings, by layer type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from alexplore.network.shapes import Shapes
from alexplore.training.kernels.convolution import Conv
from alexplore.training.kernels.lrn import make_response_norm
from alexplore.training.kernels.pooling import AvgPool, MaxPool

KERNELS: Mapping[str, Callable[[Any, Shapes], nn.Module]] = {
    "conv2d": Conv,
    "max_pool2d": MaxPool,
    "avg_pool2d": AvgPool,
    "local_response_norm": make_response_norm,
}
"""By layer type: a function of the layer and the shapes of its inputs that returns its module."""
