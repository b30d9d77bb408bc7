"""The metrics of runs: what each is called, its unit, and how it is shown and compared.

A metric is one entry here; tables, comparisons, CSV and displays take names and formats from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache

LARGEST_SHOWN = 1e9  # larger numbers, as in a damaged file, are shown in powers of ten


class Recorded(Enum):
    """When a metric is written."""

    PER_STEP = "step"  # with every line of metrics.jsonl: a mean over the steps since the line before
    PER_EPOCH = "epoch"  # with the line at the end of an epoch
    SAMPLED = "sample"  # with some of the lines, where this machine measures it


@dataclass(frozen=True)
class Metric:
    """The name of a metric, and how it is shown and compared.

    `heading` is its column heading in tables. `phrase` is its text in a line, with `{}` for the number; None keeps the
    metric out of such lines. `number_format` is Python's format specification.
    """

    key: str
    title: str
    heading: str
    unit: str
    number_format: str
    recorded: Recorded
    higher_is_better: bool | None = None
    phrase: str | None = None

    def number(self, value: float | None) -> str:
        """Return a value as text for a table; a dash for None; numbers that are not finite are not formatted."""
        if value is None:
            return "–"
        if not abs(value) < LARGEST_SHOWN:
            return f"{value:.3g}"
        return f"{value:{self.number_format}}"


STEP, EPOCH, SAMPLED = Recorded.PER_STEP, Recorded.PER_EPOCH, Recorded.SAMPLED
ACCURACY = "share of the images, 0 to 1"

METRICS: Mapping[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric("train/loss", "training loss", "loss", "nats an image", ".3f", STEP, False, "loss {}"),
        Metric("train/acc", "training accuracy", "train", ACCURACY, ".1%", STEP, True, "train {}"),
        Metric("val/loss", "validation loss", "validation loss", "nats an image", ".3f", EPOCH, False),
        Metric("val/acc", "validation accuracy", "validation", ACCURACY, ".1%", EPOCH, True, "validation {}"),
        Metric("val/acc5", "validation accuracy, top 5", "top-5", ACCURACY, ".1%", EPOCH, True, "top-5 {}"),
        Metric("lr", "learning rate", "lr", "", ".3g", STEP),
        Metric("images_per_second", "images per second", "images/s", "images/s", ",.0f", STEP, True, "{} images/s"),
    )
}
"""Every metric by its key, in the order of tables. Losses are mean cross-entropies with natural logarithms."""

SHARE = "share, 0 to 1"

MACHINE_METRICS: Mapping[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric("machine/cpu", "load of the processors", "cpu", SHARE, ".0%", SAMPLED, phrase="processors {}"),
        Metric("machine/cpu_power", "power of the processors", "cpu power", "W", ",.0f", SAMPLED, phrase="{} W"),
        Metric("machine/memory", "memory in use", "memory", "GiB", ".1f", SAMPLED, phrase="memory {} GiB"),
        Metric("machine/gpu", "load of the GPUs", "gpu", SHARE, ".0%", SAMPLED, phrase="GPU {}"),
        Metric("machine/gpu_memory", "GPU memory in use", "gpu memory", "GiB", ".1f", SAMPLED, phrase="{} GiB"),
        Metric("machine/gpu_power", "power of the GPUs", "gpu power", "W", ",.0f", SAMPLED, phrase="{} W"),
        Metric("machine/gpu_temperature", "temperature of the GPUs", "gpu °C", "°C", ".0f", SAMPLED, phrase="{} °C"),
        Metric(
            "machine/joules_per_image", "energy an image", "J an image", "J", ".3g", SAMPLED, phrase="{} J an image"
        ),
        Metric("machine/energy", "energy of an epoch", "J an epoch", "J", ",.0f", SAMPLED, phrase="{} J an epoch"),
    )
}
"""Metrics of the machine by their keys: of rank 0's machine, and of those of its GPUs that the training uses.

Loads are means over the seconds since the last sample. Memory and power are sums over the GPUs, the temperature is that
of the hottest. Energy is that of the GPUs and the processor packages, as far as they have counters, and includes other
programs that run on them. `machine/energy` is that of an epoch's training and evaluation, `machine/joules_per_image`
the same divided by the number of training images. Both are in the last line of an epoch.
"""

BEST_METRIC = "val/acc"
"""The metric whose highest value decides which epoch and which run is the best; for checkpoints, `monitor` decides."""

A_STEP = "ms a step"
SLOWEST_RANK = "time/slowest_rank"

TIME_METRICS: Mapping[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric("time/input", "waiting for images", "input", A_STEP, ".3g", SAMPLED),
        Metric("time/copy", "copying, cropping, flipping and normalising images", "copy", A_STEP, ".3g", SAMPLED),
        Metric("time/forward", "forward pass and loss", "forward", A_STEP, ".3g", SAMPLED),
        Metric("time/backward", "backward pass", "backward", A_STEP, ".3g", SAMPLED),
        Metric("time/exchange", "exchange between ranks", "exchange", A_STEP, ".3g", SAMPLED),
        Metric("time/wait", "waiting for other ranks", "waiting for ranks", A_STEP, ".3g", SAMPLED),
        Metric("time/optimizer", "update of the weights", "optimizer", A_STEP, ".3g", SAMPLED),
        Metric("time/step", "forward, backward and update, in one", "step", A_STEP, ".3g", SAMPLED),
        Metric("time/other", "all else in a step", "other", A_STEP, ".3g", SAMPLED),
        Metric("time/evaluation", "evaluating and recording an epoch", "evaluation", A_STEP, ".3g", SAMPLED),
        Metric(SLOWEST_RANK, "rank that the others wait for", "slowest rank", "", ".0f", SAMPLED),
    )
}
"""Where the time of a step goes, by key: means over the steps since the last line that has it, and over the ranks.

The parts don't overlap, so their sum is the time of a step. On a GPU they are the GPU's time: it waits for images only
while it is idle. `time/exchange` is the part of the exchange that does not overlap with the backward pass, without
`time/wait`, the time until the slowest rank is ready. `time/evaluation` is divided by the number of steps of an epoch.
"""

LAYER_TIMES: Mapping[str, Metric] = {
    "forward_time": Metric("forward_time", "time of the forward pass", "forward", A_STEP, ".3g", SAMPLED)
}
"""Times of single layers, recorded with some lines: `forward_time/conv1` is the key of conv1's."""

LAYER_METRICS: Mapping[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric("grad_norm", "gradient norm", "gradient", "", ".3g", STEP),
        Metric("update_ratio", "update-to-weight ratio", "update", "of the weights' norm", ".2g", STEP),
        Metric("zero_share", "share of zero activations", "zeros", "share of the outputs, 0 to 1", ".1%", STEP),
    )
}
"""Metrics of single layers, recorded with some lines: `grad_norm/conv1` is the key of conv1's.

`grad_norm` is the Euclidean norm of the gradient of a layer's parameters. `update_ratio` is the norm of what a step
adds to a layer's weights, divided by the norm of those weights. `zero_share` is that of an activation's outputs.
"""


_OF_LAYERS = {**LAYER_METRICS, **LAYER_TIMES}


def layer_key(family: str, layer: str) -> str:
    """Return the key of a layer's metric.

    Raises:
        KeyError: there is no such metric in `LAYER_METRICS` and `LAYER_TIMES`.
    """
    return f"{_OF_LAYERS[family].key}/{layer}"


@lru_cache(maxsize=4096)
def metric_of(key: str) -> Metric | None:
    """Return the metric with a key, of the training, the machine or a layer; None if this version does not know it."""
    if found := METRICS.get(key) or MACHINE_METRICS.get(key) or TIME_METRICS.get(key):
        return found
    family, _, layer = key.partition("/")
    metric = _OF_LAYERS.get(family)
    if metric is None or not layer:
        return None
    return replace(metric, key=key, title=f"{metric.title} of {layer}")
