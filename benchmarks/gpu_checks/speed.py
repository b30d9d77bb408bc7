"""Measure images a second of alexplore's loop beside the tutorials' loop, and their share of the matrix product's peak.

The loops train the same layers on random images that are already on the device, with the same batch size, by turns.

alexplore's loop is the worker's, with the recipe of the preset: 8-bit images are picked, resized, cropped, flipped,
recoloured and normalised on the device, and metrics are written.

The tutorials' loop is the exported `nn.Sequential` with PyTorch's default settings (TF32 in convolutions, not in matrix
products), their optimizer, images that are already resized and normalised, and `loss.item()` at each step, as their
loops add up losses. It is the best case of a tutorial: its `DataLoader` costs nothing. In bf16 and fp16 it uses
`torch.autocast`, and for fp16 `GradScaler`, as PyTorch's examples do.

The bare loop (`Bare`) is the limit: alexplore's kernels and nothing else.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from worker_loop import RepeatedSplit, flops_per_image, open_trainer, train_steps

from alexplore.export import export_preset
from alexplore.network.graph import Network
from alexplore.presets.library import load_preset
from alexplore.presets.preset import Preset
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.training.cuda_graphs import CapturedWork, make_capture
from alexplore.training.data.dataset import Dataset
from alexplore.training.kernels.table import Kernels, choose_kernels
from alexplore.training.model.build import build, logits
from alexplore.training.optim import make_optimizer, update
from alexplore.training.precision import TYPES, Precision
from gpu_checks.backend import pytorch_defaults, timed, worker_settings
from gpu_checks.bench import FAILED, OK, SKIPPED, Bench, Check, Outcome, is_fatal, short

PRESETS = ("fmnist", "torchvision", "paper", "fmnist-28")
PEAKS = {"fp32": "tf32", "bf16": "bf16", "fp16": "fp16"}
"""The peak that a precision is compared with: fp32 is computed in TF32, as the worker sets it."""
LEARNING_RATE = 1e-5  # so low that the loss does not overflow with random labels


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    settings: tuple[tuple[int, str], ...]  # batch sizes and precisions
    warm_up: int  # steps of each loop, in which algorithms are chosen and all kinds of steps are captured
    seconds: float  # the length of a window: about as long as the training reads nothing from the device
    windows: int


FULL = Size(((128, "bf16"), (1024, "bf16"), (128, "fp16"), (128, "fp32")), warm_up=64, seconds=0.4, windows=3)
TINY = Size(((4, "bf16"), (4, "fp32")), warm_up=1, seconds=0.0, windows=1)
EPOCH = 60_000  # images, as in Fashion-MNIST: the share of steps with recorded figures depends on it
NARROWER = 16  # in a dry run, the divisor of the channels and features of every layer but the last


@dataclass(frozen=True)
class Speed:
    """The speed of one preset in one precision at one batch size."""

    preset: str
    batch: int
    precision: str
    images_per_second: dict[str, float]
    """Medians of the windows by loop."""
    ratio: float
    """alexplore's speed divided by the tutorials', the median over neighbouring windows."""
    of_bare: float
    """alexplore's speed divided by the bare loop's, likewise."""
    share_of_peak: float | None
    """FLOP/s of alexplore's steps divided by those of a large matrix product in the same precision."""
    windows: dict[str, list[float]]
    """Images a second in each window, by loop."""


def run(bench: Bench) -> Outcome:
    """Measure each preset in each setting of `Size`, as long as there is time."""
    size = TINY if bench.dry else FULL
    checks: list[Check] = []
    rows: list[Speed] = []
    longest = 0.0
    wanted = [(batch, name, precision) for batch, precision in size.settings for name in PRESETS]
    for batch, name, precision in wanted:
        label = f"{name}, batch {batch}, {precision}"
        if bench.seconds_left() < longest:
            checks.append(Check(label, SKIPPED, note="the part's time was up"))
            continue
        started = time.monotonic()
        try:
            rows.append(measure(bench, size, name, batch, precision))
            checks.append(Check(label, OK))
        except Exception as error:
            if is_fatal(error):
                raise
            checks.append(Check(label, FAILED, note=short(error)))
        longest = max(longest, time.monotonic() - started)
        free_memory()
    return Outcome(tuple(checks), {"loops": __doc__, "rows": [asdict(row) for row in rows]})


def measure(bench: Bench, size: Size, name: str, batch: int, precision: str) -> Speed:
    """Measure one preset in one precision with one batch size: the loops by turns, after windows that warm up."""
    device, preset = torch.device(bench.device), loaded(name, bench)
    recipe = replace(preset.recipe, precision=precision, batch_size=batch, epochs=1000, lr=LEARNING_RATE)
    dataset = random_dataset(preset, batch, EPOCH, device)
    config = RunConfig(name, preset.network, recipe, Hardware(device=bench.device), DataSource())
    with worker_settings(device):
        trainer, history = open_trainer(config, bench.work, f"{name}-{batch}-{precision}", device, dataset)
    flops = flops_per_image(history)
    tutorial = Tutorial(preset, recipe, batch, device)
    bare = Bare(preset, recipe, batch, device)
    most = trainer.steps_per_epoch // 2  # steps of an epoch's second half, in which fewer are measured
    loops: dict[str, tuple[Callable[[], AbstractContextManager[None]], Callable[[int], object], int]] = {
        "alexplore": (lambda: worker_settings(device), lambda steps: train_steps(trainer, steps), most),
        "bare": (lambda: worker_settings(device), bare.train, most),
        "tutorial": (pytorch_defaults, tutorial.train, most),
    }
    windows: dict[str, list[float]] = {loop: [] for loop in loops}
    for window in range(-1, size.windows):
        for loop, (settings, train, limit) in loops.items():
            with settings():
                if window < 0:
                    train(min(limit, size.warm_up))
                    continue
                steps = min(limit, max(1, round(size.seconds / max(timed(partial(train, 2), device) / 2, 1e-6))))
                windows[loop].append(steps * batch / timed(partial(train, steps), device))
    ours, theirs, barely = windows["alexplore"], windows["tutorial"], windows["bare"]
    median = {loop: statistics.median(values) for loop, values in windows.items()}
    peak = bench.peaks.get(PEAKS[precision])
    return Speed(
        preset=name,
        batch=batch,
        precision=precision,
        images_per_second=median,
        ratio=statistics.median(a / b for a, b in zip(ours, theirs, strict=True)),
        of_bare=statistics.median(a / b for a, b in zip(ours, barely, strict=True)),
        share_of_peak=median["alexplore"] * flops / peak if peak else None,
        windows=windows,
    )


def loaded(name: str, bench: Bench) -> Preset:
    """Return a preset; in a dry run with a smaller network."""
    preset = load_preset(name)
    return replace(preset, network=narrowed(preset.network, NARROWER)) if bench.dry else preset


def free_memory() -> None:
    """Free the device memory of the last measurement."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def narrowed(network: Network, times: int) -> Network:
    """Return a network with `times` times fewer channels and features in all layers but the last."""
    last = max(index for index, layer in enumerate(network.layers) if layer.type == "linear")
    for index, layer in enumerate(network.layers):
        for key in ("out_channels", "out_features"):
            if hasattr(layer, key) and index != last:
                network = network.change(index, {key: max(2, getattr(layer, key) // times)})
    return network


def random_dataset(preset: Preset, pool: int, length: int, device: torch.device) -> Dataset:
    """Return a data set that repeats `pool` random images, of the size that the recipe expects."""
    channels, height, width = preset.network.input
    if channels == 1:
        height = width = 28
    elif preset.recipe.resize is not None:
        height = width = preset.recipe.resize
    classes = preset.network.classes or 10
    images = torch.randint(0, 256, (pool, channels, height, width), dtype=torch.uint8, device=device)
    split = RepeatedSplit(images, torch.randint(0, classes, (pool,)), length, device)
    half = (0.5,) * channels
    return Dataset("random", tuple(map(str, range(classes))), channels, half, half, split, split, size=(height, width))


class Bare:
    """The same kernels without a training program: one batch of inputs repeated in one CUDA graph.

    It doesn't pick or augment images, count, guard or write anything. No loop with these kernels can be faster.
    """

    def __init__(
        self, preset: Preset, recipe: Recipe, batch: int, device: torch.device, kernels: Kernels | None = None
    ) -> None:
        """`kernels` are by default those of the device."""
        kernels = choose_kernels(device.type) if kernels is None else kernels
        with device:
            self.model = build(preset.network, seed=1, kernels=kernels).train()
        self.optimizer = make_optimizer(recipe, self.model, kernels=kernels)
        self.precision = Precision(recipe.precision, device)
        images = torch.randn(batch, *preset.network.input, device=device)
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(0, preset.network.classes or 10, (batch,), device=device)
        self.captured = CapturedWork(make_capture(device, 1, kernels))

    def train(self, steps: int) -> None:
        """Train for some steps."""
        for _ in range(steps):
            self.captured.run("step", self._step, self.images, self.labels)

    def _step(self, images: Tensor, labels: Tensor) -> tuple[Tensor]:
        self.optimizer.zero_grad()
        with self.precision.autocast():
            outputs = logits(self.model, images)
        loss = F.cross_entropy(outputs.float(), labels)
        torch.autograd.backward(loss)
        update(self.optimizer)
        return (loss.detach(),)


class Tutorial:
    """The loop of the tutorials of PyTorch and of the networks, without their DataLoader."""

    def __init__(self, preset: Preset, recipe: Recipe, batch: int, device: torch.device) -> None:
        self.device, self.precision, self.batch = device, recipe.precision, batch
        with device:
            self.model = exported_module(preset).train()
        self.images = torch.randn(batch, *preset.network.input, device=device)
        self.labels = torch.randint(0, preset.network.classes or 10, (batch,), device=device)
        self.optimizer = plain_optimizer(recipe, self.model)
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")

    def train(self, steps: int) -> float:
        """Train for some steps and return the sum of the losses, each read at its step."""
        total = 0.0
        chosen = torch.randperm(self.batch, device=self.device)
        for _ in range(steps):
            inputs, labels = self.images[chosen], self.labels[chosen]
            self.optimizer.zero_grad()
            with self._autocast():
                loss = F.cross_entropy(self.model(inputs), labels)
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            self.scaler.step(self.optimizer)
            self.scaler.update()
            total += loss.item()
        return total

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, TYPES[self.precision])


def exported_module(preset: Preset) -> nn.Module:
    """Return the module that the exported code of a preset defines."""
    namespace: dict[str, Any] = {"__name__": "exported"}
    exec(export_preset(preset, "pytorch"), namespace)
    defined = [value for value in namespace.values() if isinstance(value, type) and value.__module__ == "exported"]
    module: nn.Module = defined[-1]()
    return module


def plain_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """Return the recipe's optimizer with PyTorch's defaults except for rates and penalties."""
    parameters, decay = list(model.parameters()), recipe.weight_decay
    makers: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "sgd": lambda: torch.optim.SGD(parameters, recipe.lr, recipe.momentum, weight_decay=decay),
        "adam": lambda: torch.optim.Adam(parameters, recipe.lr, weight_decay=decay),
        "adamw": lambda: torch.optim.AdamW(parameters, recipe.lr, weight_decay=decay),
    }
    return makers[recipe.optimizer]()
