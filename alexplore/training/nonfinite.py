"""Keep values that are not finite out of the weights and out of checkpoints.

No step waits for the device: the flag of a failed step is read at the next sync point, and before a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from alexplore.training.optim import update

FIRST_SCALE = 2.0**16
GROWTH_STEPS = 2000
"""Steps without overflow after which the loss scale is doubled. Both are the defaults of PyTorch's `GradScaler`."""

LARGEST_SCALE = 2.0**24
"""The loss scale does not grow further: it must not become infinite, which can't be halved."""

BeforeUpdate = Callable[[Tensor], None]
"""Takes the scale by which the gradients are multiplied."""


class NonfiniteGuard:
    """Does the backward pass and the optimizer step; from the first step that is not finite, all steps are skipped.

    The decision is made on the device: a fused optimizer leaves everything unchanged if its `found_inf` is 1, as under
    PyTorch's `GradScaler`. For any other optimizer the decision is read from the device at every step. In fp16 losses
    are scaled as `GradScaler` does: a step whose gradients overflow is skipped and the scale is halved, and only an
    overflow at scale 1 counts as a failure.

    The forward pass changes buffers, such as the running statistics of batch norm. A buffer that is not finite counts
    as a failure of the step: a smaller scale does not help.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        device: torch.device,
        *,
        scaled: bool = False,
        buffers: Sequence[Tensor] = (),
        agree: Callable[[Tensor], Tensor] = lambda flags: flags,
        clip: Callable[[Tensor], None] = lambda _: None,
    ) -> None:
        """`scaled` is for fp16, `buffers` are the model's.

        `agree` returns the maximum of flags over ranks whose gradients differ, as those of towers do. `clip` is called
        before each update, with the factor by which the gradients are scaled.
        """
        self._optimizer = optimizer
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._buffers = [buffer for buffer in buffers if buffer.is_floating_point()]
        self._agree, self._clip = agree, clip
        self._scaled = scaled
        self._scale = torch.full((), FIRST_SCALE if scaled else 1.0, device=device)
        self._growth_steps = torch.zeros((), device=device)  # without overflow since the scale last changed
        self._failed = torch.zeros((), device=device)

    def step(self, loss: Tensor, share: float | Tensor, before_update: BeforeUpdate | None = None) -> Tensor:
        """Do one update with the gradient of `loss` × `share`; see `update`."""
        self.forget_gradients()
        self.backward(loss, share)
        return self.update(before_update)

    def number(self, value: float) -> Tensor:
        """Return a number as fp32 () on the device."""
        return self._failed.new_full((), value)

    def forget_gradients(self) -> None:
        """Clear the gradients before the next `backward`."""
        self._optimizer.zero_grad()

    def backward(self, loss: Tensor, share: float | Tensor) -> None:
        """Add the gradient of `loss` × `share`, a number or fp32 () on the device, to the gradients.

        If the loss is not finite, all gradients become NaN, so that the ranks that share them see it too.
        """
        factor = _zero_or_nan(loss.detach()) + (share * self._scale if self._scaled else share)
        # The same gradient passed as an argument makes PyTorch import sympy, which takes half a second.
        torch.autograd.backward(loss * factor)

    def update(self, before_update: BeforeUpdate | None = None) -> Tensor:
        """Do one update with the gradients; return 1 if this or an earlier step failed, else 0, on the device.

        The tensor that is returned changes with the next update.

        `before_update` is called first, with the scale that the gradients have to be divided by.
        """
        if before_update is not None:
            before_update(self._scale)
        overflow, *broken = self._agree(torch.stack([_is_not_finite(values) for values in self._checked()])).unbind()
        counts = overflow * (self._scale <= 1) if self._scaled else overflow
        for flag in (counts, *broken):
            # In place, as all state that outlives a step, which may be a CUDA graph: see `cuda_graphs`.
            torch.maximum(self._failed, flag, out=self._failed)
        if self._scaled:
            self._apply(torch.maximum(self._failed, overflow))
            self._rescale(overflow)
        else:
            self._apply(self._failed)
        return self._failed

    def _checked(self) -> Iterator[Tensor]:
        """Yield values that are finite if all gradients are, and then the buffers, if there are any."""
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        yield largest_values(gradients) if self._failed.device.type == "cuda" else sums(gradients)
        if self._buffers:
            yield torch.cat([buffer.flatten() for buffer in self._buffers])

    def _apply(self, skip: Tensor) -> None:
        self._clip(self._scale)
        optimizer: Any = self._optimizer
        if optimizer.defaults["fused"]:
            optimizer.found_inf = skip
            if self._scaled:
                optimizer.grad_scale = self._scale
        elif skip:
            return
        elif self._scaled:
            for parameter in self._parameters:
                if parameter.grad is not None:
                    parameter.grad /= self._scale
        update(optimizer)

    def _rescale(self, overflow: Tensor) -> None:
        steps = (self._growth_steps + 1) * (1 - overflow)
        grow = steps >= GROWTH_STEPS
        grown = torch.where(grow, (self._scale * 2).clamp(max=LARGEST_SCALE), self._scale)
        self._growth_steps.copy_(steps * ~grow)
        self._scale.copy_(torch.where(overflow > 0, (self._scale / 2).clamp(min=1), grown))

    def state(self) -> dict[str, Tensor]:
        """Return the state for a checkpoint."""
        return {"scale": self._scale, "calm": self._growth_steps}  # the keys that checkpoints have always had

    def load(self, state: dict[str, Tensor], *, same_precision: bool = True) -> None:
        """Load the state of a checkpoint; the scale of one from another precision is ignored."""
        if self._scaled and same_precision:
            self._scale.copy_(state["scale"])
            self._growth_steps.copy_(state["calm"])


def sums(tensors: Sequence[Tensor]) -> Tensor:
    """Return the sum of each tensor, which is finite only if all of its values are.

    On a CPU a sum takes a tenth of the time of a maximum.
    """
    return torch.stack([tensor.sum() for tensor in tensors])


def largest_values(tensors: list[Tensor]) -> Tensor:
    """Return the largest absolute value of each tensor, NaN if it contains NaN.

    On a GPU this is one launch for all of them, and takes 60 % of the time of their sums.
    """
    return torch.stack(list(torch._foreach_norm(tensors, torch.inf)))


def _zero_or_nan(values: Tensor) -> Tensor:
    """Return 0 for each value that is finite, else NaN: in one launch on a GPU, where `isfinite` takes four."""
    return values - values


def _is_not_finite(values: Tensor) -> Tensor:
    """Return fp32 () on the device: 1 if a value is not finite, else 0."""
    return _zero_or_nan(values).sum().ne(0).float()


def find_nonfinite(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    """Return the name of the first tensor that contains a value that is not finite; None if there is none.

    This waits for the device.
    """
    for name, tensor in tensors:
        # The sum needs no memory, but it may overflow, so the values are checked if it is not finite.
        if tensor.is_floating_point() and not tensor.sum().isfinite() and not tensor.isfinite().all():
            return name
    return None


def optimizer_tensors(optimizer: Optimizer, names: dict[Tensor, str]) -> Iterable[tuple[str, Tensor]]:
    """Yield the tensors of an optimizer's state with their names, made from `names`, those of the parameters."""
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                yield f"the optimizer's {key} of {names.get(parameter, 'a parameter')}", value
