"""Gradient clipping: gradients whose total norm is too large are scaled down before the optimizer uses them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from alexplore.training.collectives import all_reduce


class GradientClipper:
    """Scales gradients down so that the norm of all of them, taken as one vector, is not larger than a limit.

    This is PyTorch's `clip_grad_norm_`. Nothing is read from the device.
    """

    def __init__(self, limit: float, parameters: Sequence[Tensor], split: Collection[Tensor] = ()) -> None:
        """`split` are the parameters of which this rank has a part; other ranks have the others' parts."""
        parts = set(split)
        self._limit, self._parameters = limit, list(parameters)
        self._split = [parameter for parameter in self._parameters if parameter in parts]
        self._whole = [parameter for parameter in self._parameters if parameter not in parts]

    def clip(self, scale: Tensor) -> None:
        """Clip the gradients, which are and remain multiplied by `scale`; the limit is for the unscaled ones."""
        clip_grads_with_norm_(self._parameters, self._limit, self._norm() / scale)

    def _norm(self) -> Tensor:
        if not self._split:
            return get_total_norm(_gradients(self._whole))
        squared = get_total_norm(_gradients(self._split)).square()
        all_reduce(squared)
        return (squared + get_total_norm(_gradients(self._whole)).to(squared).square()).sqrt()


def make_clip(
    limit: float | None, parameters: Sequence[Tensor], split: Collection[Tensor] = ()
) -> Callable[[Tensor], None]:
    """Return the function that clips the gradients of `parameters` before an update; without a limit, a no-op."""
    return _no_clip if limit is None else GradientClipper(limit, parameters, split).clip


def _no_clip(_: Tensor) -> None: ...


def _gradients(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]
