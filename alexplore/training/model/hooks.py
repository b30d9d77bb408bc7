"""Forward hooks that need not see what is between two layers, so that these may be combined: see `combine`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class SampleHook:
    """A forward hook that calls `look` with a layer's output for the first `images` of a batch, without gradients."""

    images: int
    look: Callable[[Tensor], None]

    def __call__(self, _: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        """Look at the output of a layer."""
        self.look(output.detach()[: self.images])


@dataclass(frozen=True, eq=False)
class MarkHook:
    """A hook before or after a layer that calls `mark`, to time it; of combined layers, the first one's are called."""

    mark: Callable[[], None]

    def __call__(self, *_: Any) -> None:
        """Mark that the layer begins or ends."""
        self.mark()
