"""Combine layers that follow each other into one call, where there is a kernel for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from alexplore.training.kernels import epilogue
from alexplore.training.kernels.convolution import Conv
from alexplore.training.kernels.pooling import MaxPool
from alexplore.training.model.sample_hook import SampleHook

Call = Callable[[Tensor], Tensor]


def combined(layers: Sequence[nn.Module]) -> Iterator[Call]:
    """Yield what is to be called, one after the other, to run layers each of which reads the one before it.

    Those that are combined are a convolution, a ReLU and a max pool, while no hook but a `SampleHook` looks at what is
    between them.
    """
    at = 0
    while at < len(layers):
        first, second, third = (*layers[at : at + 3], None, None)[:3]
        if not (isinstance(first, Conv) and isinstance(second, nn.ReLU) and _can_combine(first, second)):
            yield layers[at]
            at += 1
            continue
        pool = third if isinstance(third, MaxPool) and third.in_one_pass and not _is_seen(third) else None
        yield partial(_run, first, second, pool)
        at += 2 if pool is None else 3


def _run(convolution: Conv, relu: nn.ReLU, pool: MaxPool | None, images: Tensor) -> Tensor:
    maps, bias = convolution.convolve(images, None), convolution.bias
    if not epilogue.supports(maps):
        maps = relu(maps if bias is None else maps + bias.to(maps.dtype).view(-1, 1, 1))
        pooled: Tensor = maps if pool is None else pool(maps)
        return pooled
    _show_samples(relu, maps.detach(), bias)
    if pool is None:
        return epilogue.bias_relu(maps, bias)
    return epilogue.max_pool(maps, pool.windows, bias, has_relu=True)


@torch.no_grad()
def _show_samples(relu: nn.ReLU, maps: Tensor, bias: Tensor | None) -> None:
    """Call the hooks of a ReLU with its output, which the combined layers do not compute."""
    for hook in relu._forward_hooks.values():
        assert isinstance(hook, SampleHook)
        sample = maps[: hook.images]
        hook.look(torch.relu(sample if bias is None else sample + bias.view(-1, 1, 1)))


def _can_combine(convolution: Conv, relu: nn.ReLU) -> bool:
    only_samples = all(isinstance(hook, SampleHook) for hook in relu._forward_hooks.values())
    return convolution.in_one_pass and not _is_seen(convolution) and only_samples and not relu._forward_pre_hooks


def _is_seen(layer: nn.Module) -> bool:
    return bool(layer._forward_hooks or layer._forward_pre_hooks)
