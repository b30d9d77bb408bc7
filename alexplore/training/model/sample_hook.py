"""A forward hook that looks at a few images only, so that layers may be combined around it: see `combine`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class SampleHook:
    """A forward hook that calls `look` with a layer's output for the first `images` of a batch, without gradients."""

    images: int
    look: Callable[[Tensor], None]

    def __call__(self, _: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        """Look at the output of a layer."""
        self.look(output.detach()[: self.images])
