"""Check the devices that a run asks for against those that PyTorch finds on a machine. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from alexplore.network.analysis import analyse
from alexplore.network.layers.adaptive_pool2d import AdaptivePool2d
from alexplore.network.shapes import shape_text
from alexplore.runs.config import Hardware, RunConfig
from alexplore.runs.preflight import Fix, Problem
from alexplore.runs.torchrun import started_by_torchrun


@dataclass(frozen=True)
class Accelerators:
    """The accelerators that PyTorch finds on a machine: their kind, such as cuda or mps, and how many there are."""

    kind: str | None = None
    count: int = 0

    @property
    def usable(self) -> int:
        """How many of them one run can use: of other kinds than CUDA's, only one is set up."""
        return self.count if self.kind == "cuda" else min(1, self.count)

    def chosen(self, device: str) -> str:
        """Return the kind of device that a setting `device` stands for, if it can be used: "cpu", or `kind`."""
        return "cpu" if device == "cpu" or self.kind is None else self.kind


def device_problems(hardware: Hardware, found: Accelerators) -> Iterator[Problem]:
    """Yield why a run can't have the device, or as many GPUs as it asks for."""
    if hardware.device not in ("auto", "cpu", found.kind):
        yield Problem(
            "device",
            f"--device {hardware.device}: PyTorch finds {found.kind or 'no GPU'} on this machine; use --device cpu, or "
            "auto",
            Fix("set device to auto", {"device": "auto"}),
        )
    elif found.chosen(hardware.device) != "cpu" and (hardware.gpus or 0) > found.usable and not started_by_torchrun():
        yield Problem(
            "gpus",
            f"--gpus {hardware.gpus}: this machine has {found.usable}; use --gpus {found.usable} or less",
            Fix(f"use --gpus {found.usable}", {"gpus": found.usable}),
        )


def network_problems(config: RunConfig, found: Accelerators) -> Iterator[Problem]:
    """Yield why a network can't be trained on the device that a run asks for, though the device is there."""
    yield from _tower_problems(config, found)
    if found.chosen(config.hardware.device) == "mps":
        yield from _pool_problems(config)


def _pool_problems(config: RunConfig) -> Iterator[Problem]:
    """Yield adaptive pools that mps can't do, or does wrong: those to a size that does not divide the input's.

    Source: PyTorch's issues 96056 and 190064.
    """
    for row in analyse(config.network).rows:
        if isinstance(row.layer, AdaptivePool2d) and row.input is not None and row.output is not None:
            sizes = zip(row.input[1:], row.output[1:], strict=True)
            if all(size % own == 0 for size, own in sizes):
                continue
            yield Problem(
                "device",
                f"{row.layer.name} pools {shape_text(row.input)} to {shape_text(row.output)}: on mps the input's sizes "
                "must be multiples of the output's; use --device cpu, or another output_size",
                Fix("train on the CPU", {"device": "cpu"}),
            )
            return


def _tower_problems(config: RunConfig, found: Accelerators) -> Iterator[Problem]:
    """Yield that a network has more towers than there are GPUs; a machine without a GPU rehearses any number."""
    hardware, towers = config.hardware, config.network.towers
    if hardware.parallel == "towers" and found.chosen(hardware.device) != "cpu" and towers > found.usable:
        yield Problem(
            "parallel",
            f"--parallel towers: {towers} towers need as many GPUs, this machine has {found.usable}; use --parallel "
            "data, or --device cpu",
            Fix("train with --parallel data", {"parallel": "data"}),
        )
