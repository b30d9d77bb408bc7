"""Copy tensors to the device."""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; a copy from pinned memory to a GPU of CUDA's does not wait for it.

    On other devices it does: mps would read the memory after it was freed. Source: PyTorch's issue 139550.
    """
    return values.to(device, non_blocking=device.type == "cuda")
