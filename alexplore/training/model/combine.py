"""Combine layers that follow each other into one call, where there is a kernel for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from alexplore.training.kernels import epilogue
from alexplore.training.kernels.convolution import Conv
from alexplore.training.kernels.pooling import MaxPool
from alexplore.training.model.hooks import MarkHook, SampleHook

LayerCall = Callable[[Tensor], Tensor]
"""Takes the output of a layer and returns that of a later one."""


def combined(layers: Sequence[nn.Module]) -> Iterator[LayerCall]:
    """Yield what is to be called, one after the other, to run layers each of which reads the one before it.

    A convolution is combined with a ReLU after it, and with a max pool after that, unless a hook has to see what is
    between them.
    """
    at = 0
    while at < len(layers):
        first, second, third = (*layers[at : at + 3], None, None)[:3]
        if not (isinstance(first, Conv) and isinstance(second, nn.ReLU) and _can_combine(first, second)):
            yield layers[at]
            at += 1
            continue
        pool = third if isinstance(third, MaxPool) and third.in_one_pass and _hooks_are(third, MarkHook) else None
        yield partial(_run, first, second, pool)
        at += 2 if pool is None else 3


def _can_combine(convolution: Conv, relu: nn.ReLU) -> bool:
    return convolution.in_one_pass and _hooks_are(convolution, MarkHook) and _hooks_are(relu, MarkHook, SampleHook)


def _hooks_are(layer: nn.Module, *kinds: type) -> bool:
    """Return whether all hooks of a layer are of these kinds."""
    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks)
    return all(isinstance(hook, kinds) for hook in chain.from_iterable(one.values() for one in hooks))


def _run(convolution: Conv, relu: nn.ReLU, pool: MaxPool | None, images: Tensor) -> Tensor:
    _mark(convolution._forward_pre_hooks)
    result = _result(convolution, relu, pool, images)
    _mark(convolution._forward_hooks)
    return result


def _result(convolution: Conv, relu: nn.ReLU, pool: MaxPool | None, images: Tensor) -> Tensor:
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
        if isinstance(hook, SampleHook):
            sample = maps[: hook.images]
            hook.look(torch.relu(sample if bias is None else sample + bias.view(-1, 1, 1)))


def _mark(hooks: Mapping[int, Any]) -> None:
    for hook in hooks.values():
        hook.mark()
