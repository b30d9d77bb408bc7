"""Runs for pictures of the app: written as workers write them, at a time of day that stands still."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from alexplore.core.picture import Picture
from alexplore.presets.library import load_preset
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.inside import (
    BINS,
    Confusion,
    FeatureMaps,
    InsideEpoch,
    KernelGrid,
    LayerHistogram,
    Mistake,
    Quantised,
    ShownImage,
    save_epoch,
)
from alexplore.runs.lines import LineWriter
from alexplore.runs.metrics import layer_key
from alexplore.runs.protocol import (
    CheckpointEvent,
    DatasetEvent,
    EpochEvent,
    MetricsLine,
    StartEvent,
    event_record,
    metrics_record,
)
from alexplore.runs.status import Status, write_status

NOW = 1_780_000_000.0  # 2026-05-28 20:26:40 UTC
EPOCHS, BATCHES = 3, 20  # of a run, and of an epoch
RUN_BYTES = 57_000  # of each run's folder
RUNNING = "running"  # the name of the run that a worker trains

START = StartEvent(
    step=0, device="cpu", device_name="CPU", threads=2, ranks=1, parallel="data", precision="fp32",
    flops_per_image=2_000_000, peak_flops=2e10,
)  # fmt: skip


class Clock:
    """The time of day, which stands still unless it is set."""

    def __init__(self) -> None:
        self.now = NOW

    def time(self) -> float:
        """Return the time, as `time.time` does."""
        return self.now


@contextmanager
def still_clock() -> Iterator[Clock]:
    """Let the time of day stand still at `NOW` in UTC, and only the run called `RUNNING` have a worker."""
    clock = Clock()
    with (
        patch.dict(os.environ, TZ="UTC"),
        patch("alexplore.runs.status.is_locked", lambda run: run.name == RUNNING),
        patch.object(time, "time", clock.time),
    ):
        time.tzset()
        yield clock
    time.tzset()


@contextmanager
def one_machine() -> Iterator[None]:
    """Let the app find the same machine everywhere: four processors, no GPU, 16 GiB free, downloaded data sets.

    Runs take the same space, whatever compressed them.
    """
    needs = {"imagefolder": "needs a folder", "synthetic": "drawn"}
    listed = {"imagefolder": "needs a folder", "fashion-mnist": "here", "mnist": "here"}
    with (
        patch("alexplore.tui.checks.cache_folder", lambda name: Path("/home/you/.cache/alexplore") / name),
        patch("alexplore.tui.checks.dataset_need", lambda name: needs.get(name, "here")),
        patch(
            "alexplore.runs.data.dataset_shapes.dataset_need", lambda name: listed.get(name, "to fetch")
        ),  # of the presets
        patch("alexplore.tui.run_details.folder_size", lambda _: RUN_BYTES),
        patch("alexplore.tui.screens.runs.folder_size", lambda _: RUN_BYTES),
        patch("alexplore.tui.screens.plan.MEASURE_SECONDS", 10_000.0),
        patch("psutil.virtual_memory", lambda: SimpleNamespace(available=16 * 2**30)),
        patch("alexplore.tui.planned_run.processors", lambda: 4),
        patch("alexplore.tui.planned_run.has_nvidia_driver", lambda: False),
        patch("alexplore.runs.estimate.processors", lambda: 4),
        patch("alexplore.runs.estimate.has_nvidia_driver", lambda: False),
    ):
        yield


@dataclass
class DemoRuns:
    """Writes runs of `fmnist-28` into a folder, one step a second."""

    folder: Path
    clock: Clock = field(default_factory=Clock)

    def write(
        self, name: str, state: str, steps: int, *, age: float, loss: float = 2.3, reason: str | None = None
    ) -> RunDirectory:
        """Write a run that trained some steps, and wrote its status `age` seconds ago."""
        self.clock.now = NOW - age - steps
        preset = load_preset("fmnist-28")
        run = create_run(
            RunConfig(preset.name, preset.network, replace(preset.recipe, epochs=EPOCHS)), self.folder, name
        )
        os.utime(run.config_file, (self.clock.now, self.clock.now))
        with LineWriter(run.metrics_file, attempt=0) as metrics, LineWriter(run.events_file, attempt=0) as events:
            events.append(**event_record(DatasetEvent("fashion-mnist", train=60_000, val=10_000, classes=10)))
            if steps:
                events.append(**event_record(START))
            for step in range(1, steps + 1):
                self.clock.now += 1
                now = loss / step**0.5 + 0.02 * (step % 3)
                values = {"train/loss": now, "train/acc": 1 - now / 4, "images_per_second": 3000.0 + step}
                metrics.append(**metrics_record(MetricsLine(step, step / BATCHES, values)))
                epoch, rest = divmod(step, BATCHES)
                if rest == 0:
                    validation = {"val/loss": 0.9 * now, "val/acc": 1 - now / 5}
                    metrics.append(**metrics_record(MetricsLine(step, epoch, validation)))
                    events.append(**event_record(EpochEvent(epoch, step, values | validation, seconds=float(step))))
                    events.append(**event_record(CheckpointEvent(step, epoch, best=True, seconds=0.1)))
                    save_epoch(run, demo_epoch(epoch, step))
        write_status(run, Status(state, step=steps, epoch=steps / BATCHES, updated=NOW - age, reason=reason))
        self.clock.now = NOW
        return run

    def running(self) -> RunDirectory:
        """Write the run that is being trained."""
        return self.write(RUNNING, "running", 33, age=1.0, loss=2.6)

    def several(self) -> None:
        """Write runs in several states."""
        self.write("finished", "finished", 60, age=500.0)
        self.write("worse", "finished", 40, age=400.0, loss=3.0)
        self.write("failed", "failed", 0, age=200.0, reason="no such device: cuda")
        self.write("crashed", "running", 15, age=100.0)
        self.running()


def demo_epoch(epoch: int, step: int) -> InsideEpoch:
    """Return what the network `fmnist-28` could look like after an epoch, drawn by chance from its number."""
    draw = np.random.default_rng(epoch)
    weighted = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
    activations = ("relu1", "relu2", "relu3", "relu4", "relu5", "relu6", "relu7")
    figures = {
        **{layer_key("grad_norm", layer): 0.3 / (1 + number) for number, layer in enumerate(weighted)},
        **{layer_key("update_ratio", layer): 0.002 / epoch for layer in weighted},
        **{layer_key("zero_share", layer): 0.4 + 0.05 * number for number, layer in enumerate(activations)},
    }
    images = tuple(_demo_image(draw, index, truth=index, guess=index) for index in range(3))
    mistakes = tuple(
        Mistake(**vars(_demo_image(draw, 100 + index, truth=6, guess=index)), loss=6 - 0.3 * index)
        for index in (0, 2, 4, 3)
    )
    counts = np.full((10, 10), 2) + np.diag([80] * 10)
    counts[6, 0] += 12 // epoch
    maps = tuple(
        FeatureMaps(
            layer, image, (channels, side, side), tuple(range(12)), Quantised.of(_blobs(draw, 12, min(side, 24)))
        )
        for layer, channels, side in (("conv1", 16, 28), ("conv2", 32, 13), ("conv3", 64, 6))
        for image in range(3)
    )
    return InsideEpoch(
        epoch=epoch,
        step=step,
        figures=figures,
        classes=dict(enumerate(DEMO_CLASSES)),
        weights=tuple(_demo_histogram(draw, layer) for layer in weighted),
        activations=tuple(_demo_histogram(draw, layer, active=True) for layer in activations),
        kernels=KernelGrid("conv1", Quantised.of(_blobs(draw, 16, 5)[:, None]), towers=1, total=16),
        images=images,
        maps=maps,
        confusion=Confusion(tuple(range(10)), counts.astype(np.uint32), tuple(counts.sum(1).tolist())),
        mistakes=mistakes,
    )


DEMO_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def _blobs(draw: np.random.Generator, count: int, side: int) -> NDArray[np.float32]:
    """Return maps (count, side, side), each with a bright blob somewhere."""
    y, x = np.mgrid[:side, :side] / side
    centres = draw.random((count, 2, 1, 1))
    blobs: NDArray[np.float32] = np.exp(-8 * ((y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2)).astype(np.float32)
    return blobs


def _demo_image(draw: np.random.Generator, index: int, truth: int, guess: int) -> ShownImage:
    pixels = (255 * _blobs(draw, 1, 28)[0]).astype(np.uint8)
    others = [(number, 0.04) for number in range(4) if number != guess]
    return ShownImage(Picture(28, 28, 1, pixels.tobytes()), index, truth, ((guess, 0.88), *others))


def _demo_histogram(draw: np.random.Generator, layer: str, *, active: bool = False) -> LayerHistogram:
    values = draw.normal(0, 0.1, 4096)
    values = values.clip(min=0) if active else values
    counts, _ = np.histogram(values.clip(-0.5, 0.5), BINS, (-0.5, 0.5))
    zeros = float((values == 0).mean())
    statistics = float(values.mean()), float(values.std()), float(values.min()), float(values.max()), zeros
    return LayerHistogram(layer, tuple(counts.tolist()), 0.5, *statistics, dead_share=0.0 if active else None)
