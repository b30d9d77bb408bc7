"""Combine layers that follow each other into one call, where there is a kernel for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from torch import Tensor, nn

from alexplore.training.kernels import epilogue
from alexplore.training.kernels.convolution import Conv
from alexplore.training.kernels.pooling import MaxPool

Call = Callable[[Tensor], Tensor]


def combined(layers: Sequence[nn.Module]) -> Iterator[Call]:
    """Yield what is to be called, one after the other, to run layers each of which reads the one before it.

    Those that are combined are a convolution, a ReLU and a max pool, while no hook looks at what is between them.
    """
    at = 0
    while at < len(layers):
        first, second, third = (*layers[at : at + 3], None, None)[:3]
        if isinstance(first, Conv) and first.in_one_pass and isinstance(second, nn.ReLU) and _unseen(first, second):
            pool = third if isinstance(third, MaxPool) and third.in_one_pass and _unseen(third) else None
            yield partial(_run, first, second, pool)
            at += 2 if pool is None else 3
        else:
            yield layers[at]
            at += 1


def _run(convolution: Conv, relu: nn.ReLU, pool: MaxPool | None, images: Tensor) -> Tensor:
    maps, bias = convolution.convolve(images, None), convolution.bias
    if epilogue.supports(maps):
        if pool is None:
            return epilogue.bias_relu(maps, bias)
        return epilogue.max_pool(maps, pool.windows, bias, has_relu=True)
    maps = relu(maps if bias is None else maps + bias.to(maps.dtype).view(-1, 1, 1))
    pooled: Tensor = maps if pool is None else pool(maps)
    return pooled


def _unseen(*layers: nn.Module) -> bool:
    return not any(layer._forward_hooks or layer._forward_pre_hooks for layer in layers)
