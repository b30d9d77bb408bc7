"""Compiles the Triton kernels for a GPU, which need not be there; started by a test.

The interpreter, in which `interpreted.py` compares them, also accepts what the compiler does not.
"""

from __future__ import annotations

from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from alexplore.training.data import preprocess_triton
from alexplore.training.kernels import blocks_triton, epilogue_triton, lrn_triton

TARGET = GPUTarget("cuda", 90, 32)  # NVIDIA H100
POINTERS = {
    "maps": "*bf16", "results": "*bf16", "outputs": "*bf16", "gradients": "*bf16", "bias": "*fp32", "chosen": "*u8",
    "sums": "*fp32", "rows": "*u8", "crops": "*i64", "offsets": "*fp32", "scales": "*fp32",
}  # fmt: skip
FLOATS = ("scale", "beta", "k")
WINDOW = {"kernel_high": 3, "kernel_wide": 3, "step_down": 2, "step_right": 2, "above": 0, "before": 0}


def compile_kernel(kernel: Any, constants: dict[str, Any], **types: str) -> None:
    """Compile a kernel with the types that its arguments have by their names, other than in `types`."""
    usual = {**POINTERS, **dict.fromkeys(FLOATS, "fp32"), **types}
    signature = {name: "constexpr" if name in constants else usual.get(name, "i32") for name in kernel.arg_names}
    triton.compile(ASTSource(kernel, signature, constexprs=constants), target=TARGET)
    print(kernel.__name__, constants)


for channels, lanes in ((64, 64), (50, 64)):  # all blocks of channels are full, or not
    blocks = {"channels": channels, "pixels": 16, "lanes": lanes}
    compile_kernel(epilogue_triton._relu_kernel, {**blocks, "has_bias": True})
    compile_kernel(epilogue_triton._relu_gradient_kernel, {**blocks, "with_sums": True})
    compile_kernel(epilogue_triton._pool_kernel, {**blocks, **WINDOW, "has_bias": True, "has_relu": True})
    compile_kernel(epilogue_triton._pool_gradient_kernel, {**blocks, **WINDOW})
    compile_kernel(epilogue_triton._pooled_sums_kernel, blocks)
channels_of_lrn = {"channels": 96, "group": 48, "before": 2, "after": 2}
compile_kernel(lrn_triton._forward_kernel, {**channels_of_lrn, "block": lrn_triton.BLOCK}, sums="*bf16")
compile_kernel(lrn_triton._backward_kernel, {**channels_of_lrn, "pixels": 8, "lanes": 128}, sums="*bf16")
compile_kernel(
    blocks_triton._blocks_kernel, {"side": 4, "channels": 3, "block": blocks_triton.BLOCK}, rows="*fp32"
)  # fmt: skip
compile_kernel(
    preprocess_triton._crop_kernel, {"channels": 3, "block": preprocess_triton.BLOCK}, results="*fp32"
)  # fmt: skip
