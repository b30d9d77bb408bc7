"""The texts about a run: the same in the app, on the command line and in console.log."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from alexplore.core.formatting import count_text, duration_text, shortened
from alexplore.core.inert import inert_line
from alexplore.core.settings import toml_text
from alexplore.presets.precisions import MARGIN
from alexplore.runs.control import ACTIONS
from alexplore.runs.metrics import BEST_METRIC, MACHINE_METRICS, METRICS, Metric
from alexplore.runs.protocol import (
    ChangeEvent,
    CheckpointEvent,
    ControlEvent,
    DatasetEvent,
    EndEvent,
    EpochEvent,
    ErrorEvent,
    EvaluationEvent,
    Event,
    ExchangeEvent,
    PrecisionEvent,
    PreparingEvent,
    StartEvent,
    UnknownEvent,
    WarningEvent,
    WeightsEvent,
)
from alexplore.runs.status import DAMAGED, REFUSED, WAITING, Status
from alexplore.runs.summary import Summary
from alexplore.runs.watch import Snapshot

HEARTBEAT_SECONDS = 30.0
"""A busy worker that has not updated its status for this long is suspended or hangs."""

SUMMARY_METRICS = tuple(METRICS[key] for key in ("train/loss", "val/acc", "images_per_second"))
SUMMARY_HEADINGS = ("run", "state", "epoch", "best", *(metric.heading for metric in SUMMARY_METRICS), "updated")
"""The headings of the columns of `summary_cells`."""


STATE_GLYPHS: Mapping[str, str] = {
    "starting": "●",
    "running": "●",
    "paused": "‖",
    "stopped": "■",
    "finished": "✓",
    "failed": "✗",
    "crashed": "☠",
    DAMAGED: "?",
    WAITING: "○",
    REFUSED: "✗",
}
"""A character for each state, so that states differ without colour."""


def state_text(status: Status) -> str:
    """Return `running`, or `running, no update for 2:05`."""
    age = status.heartbeat_age
    return f"{status.state}, no update for {duration_text(age)}" if age > HEARTBEAT_SECONDS else status.state


def progress_text(summary: Summary) -> str:
    """Return `3.50/10`: the epochs trained so far, and those to train."""
    total = "?" if summary.total_epochs is None else summary.total_epochs
    return f"{summary.status.epoch:.2f}/{total}"


def summary_cells(summary: Summary) -> tuple[str, ...]:
    """Return the cells of a run's row in a table with `SUMMARY_HEADINGS`."""
    return (
        inert_line(summary.run.name),
        state_text(summary.status),
        progress_text(summary),
        METRICS[BEST_METRIC].number(summary.best),
        *(metric.number(summary.latest.get(metric.key)) for metric in SUMMARY_METRICS),
        f"{duration_text(summary.age)} ago" if summary.status.updated else "–",
    )


def metric_texts(
    values: Mapping[str, float], *, without: tuple[str, ...] = (), declared: Mapping[str, Metric] = METRICS
) -> list[str]:
    """Return `loss 0.5123`, `train 0.8120`, `validation 0.8810`, …: the values of declared metrics with a phrase."""
    return [
        metric.phrase.format(metric.number(values[key]))
        for key, metric in declared.items()
        if metric.phrase and key in values and key not in without
    ]


def machine_text(values: Mapping[str, float]) -> str:
    """Return `processors 93% · memory 12.1 GiB · GPU 97% · 41.2 GiB · 612 W · 64 °C · …`; "" if nothing is known."""
    return " · ".join(metric_texts(values, declared=MACHINE_METRICS))


def epoch_text(epoch: EpochEvent, epochs: int | None = None) -> str:
    """Return `epoch  1/10 · loss 0.5123 · train 0.8120 · validation 0.8810 · 3,512 images/s`."""
    number = f"{epoch.epoch}" if epochs is None else f"{epoch.epoch:>{len(str(epochs))}}/{epochs}"
    return " · ".join([f"epoch {number}", *metric_texts(epoch.metrics), *_damaged_texts(epoch)])


def attempt_text(attempt: int, step: int | None) -> str:
    """Return `attempt 2, from step 20`; attempts are counted from 0 and shown from 1."""
    return f"attempt {attempt + 1}" + ("" if step is None else f", from step {step}")


def event_text(event: Event, epochs: int | None = None) -> str:
    """Return the line of text for an event; `epochs` is the number of epochs to train."""
    if isinstance(event, EpochEvent):
        return epoch_text(event, epochs)
    return shortened(EVENT_TEXTS[type(event)](event))


def is_logged(event: Event) -> bool:
    """Return whether a log shows an event; the others are for programs, or are shown elsewhere."""
    if isinstance(event, PrecisionEvent):
        return bool(event.seconds)  # else the recipe named it, and nothing was measured
    if isinstance(event, ControlEvent) and event.action in ("set", "evaluate"):
        return event.error is not None  # its result has an event of its own
    if isinstance(event, EndEvent):
        return event.state == "stopped"  # the other ends are told by an error, or by the last epoch
    return not isinstance(event, UNLOGGED)


def speed_texts(snapshot: Snapshot) -> list[str]:
    """Return `3,512 images/s`, `62% of peak`, `4:05 left`, as far as they are known."""
    rate, texts = METRICS["images_per_second"], []
    if snapshot.images_per_second and rate.phrase:
        texts.append(rate.phrase.format(rate.number(snapshot.images_per_second)))
    if snapshot.peak_share is not None:
        texts.append(f"{snapshot.peak_share:.0%} of peak")
    if snapshot.remaining_seconds is not None and snapshot.status.live:
        texts.append(f"{duration_text(snapshot.remaining_seconds)} left")
    return texts


def progress_texts(snapshot: Snapshot) -> list[str]:
    """Return the last metrics and the speed: `loss 0.5123`, `train 0.8120`, `3,512 images/s`, `4:05 left`, …"""
    return [*metric_texts(snapshot.latest, without=("images_per_second",)), *speed_texts(snapshot)]


def result_text(snapshot: Snapshot) -> str:
    """Return the result of a finished run: time, speed, device and accuracy."""
    seconds = snapshot.epochs[-1].seconds if snapshot.epochs else 0.0
    texts = [f"{count_text(len(snapshot.epochs), 'epoch')} in {duration_text(seconds)}"]
    if snapshot.epochs:
        last = snapshot.epochs[-1].metrics
        texts += metric_texts({key: last[key] for key in ("images_per_second",) if key in last})
    if start := snapshot.last(StartEvent):
        texts.append(f"{start.device_name}, {_ranks_text(start)}, {start.precision}")
    if snapshot.best is not None:
        texts.append(f"best validation {METRICS['val/acc'].number(snapshot.best)}")
    if snapshot.epochs:
        texts += _damaged_texts(snapshot.epochs[-1])
    if snapshot.status.reason is not None:
        texts.append(snapshot.status.reason)
    return "finished: " + " · ".join(texts)


def _damaged_texts(epoch: EpochEvent) -> list[str]:
    return [f"{count_text(epoch.damaged, 'damaged image')} left out"] if epoch.damaged else []


def _ranks_text(start: StartEvent) -> str:
    threads = f", {count_text(start.threads, 'thread')}{' each' * (start.ranks > 1)}" if start.device == "cpu" else ""
    return count_text(start.ranks, "rank") + threads


def _dataset(event: DatasetEvent) -> str:
    drawn = ", drawn by the program: not real images" if event.synthetic else ""
    return f"{event.name}: {event.train:,} images to train on, {event.val:,} to validate{drawn}"


def weights_texts(event: WeightsEvent) -> list[str]:
    """Return the source of a run's first weights, then a line for each layer: what it took, or why it took nothing."""
    count = len(event.taken) + len(event.left)
    return [
        f"starts from {event.source}: {len(event.taken)} of {count_text(count, 'layer')} taken",
        *(f"{layer} from {other}" if other != layer else layer for layer, other in event.taken.items()),
        *(f"{layer} starts anew: {reason}" for layer, reason in event.left.items()),
        *(f"unused: {layer} ({shapes})" for layer, shapes in event.unused.items()),
    ]


def _weights(event: WeightsEvent) -> str:
    """Return how many layers took weights, and which did not; the run's details list all."""
    first, *rest = weights_texts(event)
    return "; ".join([first, *rest[len(event.taken) :]])


def _precision(event: PrecisionEvent) -> str:
    if not event.seconds:
        return f"precision {event.precision}" + (", as before" if event.kept else "")
    if "fp32" not in event.seconds or "bf16" not in event.seconds:
        return f"training in {event.precision}"
    exact, faster = event.seconds["fp32"], event.seconds["bf16"]
    speedup = event.speedup or max(exact, 1e-9) / max(faster, 1e-9)
    compared = _faster_text("bf16", "fp32", speedup) if speedup >= 1 else _faster_text("fp32", "bf16", 1 / speedup)
    if event.precision == "fp32" and speedup >= 1:
        compared += f", less than the {MARGIN - 1:.0%} needed"
    decimals = 0 if min(exact, faster) >= 0.01 else 2
    timings = " and ".join(f"{1000 * seconds:.{decimals}f}" for seconds in (exact, faster))
    timings = f"fp32 and bf16: {timings} ms for {event.images} images"
    kept = ", as in the first attempt" if event.kept else ""
    return f"{compared} ({timings}): training in {event.precision}{kept}"


def _faster_text(one: str, other: str, speedup: float) -> str:
    """Return `bf16 is 6% faster than fp32`, rounded down."""
    speedup = min(speedup, MOST_SPEEDUP)
    if speedup >= 2:
        return f"{one} is {math.floor(10 * speedup) / 10:g} times as fast as {other}"
    return f"{one} is {math.floor(100 * (speedup - 1) + 1e-6)}% faster than {other}"


MOST_SPEEDUP = 1e6
"""The largest speedup that is shown; a larger one means that the line is damaged."""


def _start(event: StartEvent) -> str:
    return f"training on {event.device_name} in {event.precision}: {_ranks_text(event)}"


def _checkpoint(event: CheckpointEvent) -> str:
    return f"checkpoint at step {event.step}{', the best so far' if event.best else ''}"


def _control(event: ControlEvent) -> str:
    if event.error is not None:
        return f"asked to {ACTIONS.get(event.action, event.action)}: {event.error}"
    saved = event.action == "checkpoint" and event.step > 0
    return f"asked to {ACTIONS.get(event.action, event.action)}" + (f": saved at step {event.step}" if saved else "")


def change_text(event: ChangeEvent) -> str:
    """Return `lr 0.01 → 0.003 from step 120 on`."""
    changes = [f"{key} {toml_text(event.before.get(key))} → {toml_text(value)}" for key, value in event.after.items()]
    again = ", as before" if event.repeated else ""
    return f"{', '.join(changes)} from step {event.step} on{again}"


def _evaluation(event: EvaluationEvent) -> str:
    return " · ".join([f"evaluated at step {event.step}", *metric_texts(event.metrics)])


def _end(event: EndEvent) -> str:
    return f"{event.state} at step {event.step}" + (f": {event.reason}" if event.reason else "")


EVENT_TEXTS: Mapping[type[Event], Callable[[Any], str]] = {
    PreparingEvent: lambda event: event.message,
    DatasetEvent: _dataset,
    WeightsEvent: _weights,
    PrecisionEvent: _precision,
    StartEvent: _start,
    EpochEvent: epoch_text,
    ExchangeEvent: lambda event: f"towers exchange {sum(event.bytes_per_image.values()):,.0f} bytes an image",
    CheckpointEvent: _checkpoint,
    ControlEvent: _control,
    ChangeEvent: change_text,
    EvaluationEvent: _evaluation,
    WarningEvent: lambda event: event.message,
    ErrorEvent: lambda event: event.message,
    EndEvent: _end,
    UnknownEvent: lambda event: event.name,
}
"""The text of each event type."""

UNLOGGED = (PreparingEvent, ExchangeEvent, CheckpointEvent, UnknownEvent)
