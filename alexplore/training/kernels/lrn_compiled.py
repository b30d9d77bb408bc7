"""Local response normalisation on a CPU by `lrn.c`: one pass over the maps forward, and one backward.

In blocks, PyTorch's functions pass 25 times over the values, even if these are in the cache.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from alexplore.training.kernels.compiler import NotCompiled, load_compiled

SOURCE = Path(__file__).with_name("lrn.c")

DEFINED = {torch.float32: [], torch.bfloat16: ["-DBF16"]}
"""The compiler's options by the type of the maps: the types for which there are functions."""

BETA = 0.75
"""The exponent for which there are functions: the paper's."""

MOST_CHANNELS = 2**14
"""The most channels of a group: the functions have some rows of them on their stack."""

SIZE, NUMBER, POINTER = ctypes.c_int64, ctypes.c_float, ctypes.c_void_p
ARGUMENTS = {
    "forward": [*[POINTER] * 3, *[SIZE] * 4, NUMBER, NUMBER, ctypes.c_int],
    "backward": [*[POINTER] * 4, *[SIZE] * 4, NUMBER, ctypes.c_int],
}


@cache
def why_not_compiled() -> str | None:
    """Return why the functions can't be used on this machine; None if they can. Compile them if that was not done."""
    try:
        for dtype in DEFINED:
            _functions(dtype)
    except NotCompiled as error:
        return str(error)
    return None


def supports(rows: Tensor, beta: float, group: int) -> bool:
    """Return whether there is a function for such rows; there is none for tensors without values, as in an export."""
    plain = type(rows) is Tensor and rows.device.type == "cpu" and rows.dtype in DEFINED
    return plain and beta == BETA and group <= MOST_CHANNELS


def forward(
    rows: Tensor, results: Tensor, sums: Tensor, scale: float, _: float, k: float, reach: tuple[int, int], group: int
) -> None:
    """Write the normalised rows and the sums s = k + scale · Σ a² of contiguous `rows` (N, C).

    The arguments are those of `lrn_triton`, beta among them, which is always `BETA` here.
    """
    tensors = (tensor.data_ptr() for tensor in (rows, results, sums))
    _functions(rows.dtype).forward(*tensors, *_sizes(rows, group), *reach, scale, k, torch.get_num_threads())


def backward(
    rows: Tensor, sums: Tensor, gradients: Tensor, results: Tensor, scale: float, _: float, reach: tuple[int, int],
    group: int,
) -> None:  # fmt: skip
    """Write the gradient of `rows` into `results`; `gradients` are those of the output, `sums` those of `forward`."""
    tensors = (tensor.data_ptr() for tensor in (rows, sums, gradients, results))
    _functions(rows.dtype).backward(*tensors, *_sizes(rows, group), *reach, scale, torch.get_num_threads())


@cache
def _functions(dtype: torch.dtype) -> ctypes.CDLL:
    """Return the functions for maps of a type.

    Raises:
        NotCompiled: this machine can't compile them.
    """
    library = load_compiled(SOURCE, DEFINED[dtype])
    for name, types in ARGUMENTS.items():
        function = getattr(library, name)
        function.argtypes, function.restype = types, None
    return library


def _sizes(rows: Tensor, group: int) -> tuple[int, int]:
    return rows.numel() // group, group
