"""Modules used in place of PyTorch's, by layer type: they are faster, or support more kinds of padding.

`table` decides which of the faster kernels they use on which processor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from alexplore.network.shapes import Shapes
from alexplore.training.kernels.convolution import Conv
from alexplore.training.kernels.lrn import make_response_norm
from alexplore.training.kernels.pooling import AvgPool, MaxPool
from alexplore.training.kernels.table import Kernels

MODULES: Mapping[str, Callable[[Any, Shapes, Kernels], nn.Module]] = {
    "conv2d": Conv,
    "max_pool2d": MaxPool,
    "avg_pool2d": lambda layer, inputs, _: AvgPool(layer, inputs),
    "local_response_norm": make_response_norm,
}
"""By layer type: a function from a layer, the shapes of its inputs and the kernels to use to its module."""
