"""Which kernels are used on which class of processor, and the measured speedups that decide it.

A kernel is a faster equivalent of a PyTorch operation. It is used on a class of processor if it makes a step of some
shipped preset at least `GAIN` times faster than PyTorch's operation does; if it does so on no class, it is deleted.
`python -m benchmarks kernels` measures the speedups, `python benchmarks/gpu.py --only kernels` those of a GPU.

The choice follows from the class of the processor and the sizes of the layer, never from a measurement at the start,
because kernels round differently and a run must give the same bits every time. A run's checkpoints contain the names
of its kernels. A resumed run uses the same ones, as far as its machine can, and reports a difference. So a kernel whose
rounding changes gets a new name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from alexplore.runs.kernel_choice import PLAIN, asked_kernels
from alexplore.training.kernels.lrn_compiled import why_not_compiled
from alexplore.training.kernels.processor import processor_class
from alexplore.training.kernels.triton_support import why_no_triton

GAIN = 1.15
"""The smallest speedup of a whole training step for which a kernel is used."""

Kernels = frozenset[str]
"""Names of the kernels that are used, keys of `TABLE`."""

NONE = Kernels()
"""Only PyTorch's own functions."""


@dataclass(frozen=True)
class Speedup:
    """The time of a preset's training step without a kernel, divided by that with it (`factor`)."""

    preset: str
    precision: str
    factor: float


@dataclass(frozen=True)
class Kernel:
    """A faster equivalent of a PyTorch operation."""

    doc: str

    speedups: Mapping[str, Speedup]
    """Speedup of the preset that gains most, by class of processor; only measured classes."""

    otherwise: str | None = None
    """The kernel that does the same where this one can't be used; speedups are measured without both."""

    why_unavailable: Callable[[], str | None] = lambda: None
    """Returns why this machine can't use it, None if it can."""

    on_gpu: bool = False
    """Whether there is an implementation for GPUs."""

    on_cpu: bool = True
    """Whether there is an implementation for CPUs."""

    def is_used(self, processor: str) -> bool:
        """Return whether the kernel is used on a class of processor.

        On a class that was not measured, it is used if it gains on every measured class. It is never used on
        accelerators other than CUDA GPUs, because none was tried.
        """
        implemented = {"accelerator": False, "gpu": self.on_gpu}.get(processor, self.on_cpu)
        if not implemented:
            return False
        if processor in self.speedups:
            return self.speedups[processor].factor >= GAIN
        return all(speedup.factor >= GAIN for speedup in self.speedups.values())


TABLE: Mapping[str, Kernel] = {
    "lrn": Kernel(
        "local response normalisation in blocks that fit the cache",
        {
            "avx2": Speedup("paper", "fp32", 1.48),
            "avx512": Speedup("paper", "fp32", 1.43),
            "avx512_bf16": Speedup("paper", "bf16", 1.71),
            "gpu": Speedup("paper", "bf16", 1.45),
        },
        on_gpu=True,
    ),
    "compiled-lrn": Kernel(
        "local response normalisation in one pass, in C",
        {
            "avx2": Speedup("paper", "fp32", 1.54),
            "avx512": Speedup("paper", "fp32", 1.49),
            "avx512_bf16": Speedup("paper", "bf16", 1.82),
        },
        otherwise="lrn",
        why_unavailable=why_not_compiled,
    ),
    "tiles-3x3": Kernel(
        "3×3 convolutions in fp32 by Winograd's tiles",
        {
            "avx2": Speedup("torchvision", "fp32", 1.32),
            "avx512": Speedup("fmnist", "fp32", 1.15),
            "avx512_bf16": Speedup("fmnist", "fp32", 1.17),
        },
    ),
    "tiles-5x5": Kernel(
        "5×5 convolutions in fp32 by Winograd's tiles",
        {
            "avx2": Speedup("fmnist", "fp32", 1.38),
            "avx512": Speedup("fmnist", "fp32", 1.2),
            "avx512_bf16": Speedup("fmnist", "fp32", 1.19),
        },
    ),
    "fused": Kernel(
        "fused optimizers",
        {
            "avx2": Speedup("fmnist", "fp32", 1.21),
            "avx512": Speedup("fmnist", "fp32", 1.16),
            "avx512_bf16": Speedup("fmnist", "bf16", 1.3),
            "gpu": Speedup("fmnist-28", "bf16", 17.1),  # without it, no step is captured
        },
        on_gpu=True,
    ),
    "triton-2": Kernel(
        "local response normalisation, and cropping with mirroring, in one pass each, in Triton",
        {"gpu": Speedup("paper", "bf16", 3.05)},
        otherwise="lrn",
        why_unavailable=why_no_triton,
        on_gpu=True,
        on_cpu=False,
    ),
    "conv-forms": Kernel(
        "convolutions of few channels over blocks of pixels, and those of two groups without groups",
        {"gpu": Speedup("fmnist", "bf16", 1.41)},
        on_gpu=True,
        on_cpu=False,
    ),
    "epilogue": Kernel(
        "the bias, ReLU and max pool after a convolution in one pass, in Triton",
        {"gpu": Speedup("torchvision", "bf16", 1.31)},
        why_unavailable=why_no_triton,
        on_gpu=True,
        on_cpu=False,
    ),
    "graphs": Kernel(
        "steps captured as CUDA graphs, which are launched at once",
        {"gpu": Speedup("fmnist-28", "bf16", 14.0)},
        on_gpu=True,
        on_cpu=False,
    ),
}
"""Every kernel by its name, which checkpoints contain."""


def kernels_of(processor: str) -> Kernels:
    """Return the kernels that are used on a class of processor."""
    return Kernels(name for name, kernel in TABLE.items() if kernel.is_used(processor))


def choose_kernels(device_type: str) -> Kernels:
    """Return the kernels for this machine's device, or those that `ALEXPLORE_KERNELS` names.

    Its value is `plain` for none, or a class of processor, whose kernels are then used.

    Raises:
        KernelError: `ALEXPLORE_KERNELS` has another value.
    """
    asked = asked_kernels()
    if asked == PLAIN:
        return NONE
    return available(kernels_of(asked or processor_class(device_type)))


def available(kernels: Kernels) -> Kernels:
    """Return those of the kernels that this machine can use."""
    return Kernels(name for name in kernels if TABLE[name].why_unavailable() is None)


def with_and_without(kernel: str, used: Kernels) -> tuple[Kernels, Kernels]:
    """Return `used` with and without a kernel, both without those that do the same: what its speedup compares."""
    same = {name for name in TABLE if kernel in (name, TABLE[name].otherwise) or name == TABLE[kernel].otherwise}
    return used - same | {kernel}, used - same
