"""What happened in a run, in words: the same lines in the app and on the command line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from alexplore.core.formatting import duration_text
from alexplore.presets.precisions import MARGIN
from alexplore.runs.lines import read_number
from alexplore.runs.status import Status
from alexplore.runs.watch import EpochRow, Snapshot, Summary, read_epoch

SILENT_SECONDS = 30.0
NUMBERS = (("train/loss", "loss"), ("train/acc", "train"), ("val/acc", "validation"))


def state_words(status: Status) -> str:
    """running; or running, silent for 2:05: a worker that is stopped or hangs says nothing, one that waits need not."""
    silence = status.silence
    return f"{status.state}, silent for {duration_text(silence)}" if silence > SILENT_SECONDS else status.state


def summary_cells(summary: Summary) -> tuple[str, ...]:
    """A run in a line of a table: run, state, epoch, loss, validation, images/s, when it was last heard of."""
    return (
        summary.run.name,
        state_words(summary.status),
        summary.epochs,
        "–" if summary.loss is None else f"{summary.loss:.4f}",
        "–" if summary.accuracy is None else f"{summary.accuracy:.4f}",
        "–" if summary.images_per_second is None else f"{summary.images_per_second:,.0f}",
        f"{duration_text(summary.age)} ago" if summary.status.updated else "–",
    )


def epoch_words(row: EpochRow, epochs: int) -> str:
    """epoch  1/10 · loss 0.5123 · train 0.8120 · validation 0.8810 · 3,512 images/s"""
    values = row.values
    words = [f"epoch {row.epoch:>{len(str(epochs))}}/{epochs}", *number_words(values)]
    if "val/acc5" in values:
        words.append(f"top-5 {values['val/acc5']:.4f}")
    if "images_per_second" in values:
        words.append(f"{values['images_per_second']:,.0f} images/s")
    return " · ".join(words + damaged_words(values))


def damaged_words(values: Mapping[str, float]) -> list[str]:
    """3 damaged images left out: if there were any."""
    count = int(values.get("damaged", 0))
    return [f"{count:,} damaged image{'s' * (count != 1)} left out"] if count else []


def number_words(values: Mapping[str, float]) -> list[str]:
    """loss 0.5123, train 0.8120, validation 0.8810: those there are."""
    return [f"{label} {values[key]:.4f}" for key, label in NUMBERS if key in values]


def attempt_words(attempt: int, step: int | None) -> str:
    """attempt 2, from step 20: the second, whose number is 1."""
    return f"attempt {attempt + 1}" + ("" if step is None else f", from step {step}")


def event_words(event: Mapping[str, Any], epochs: int) -> str:  # noqa: PLR0911 (one for each kind)
    """An event, of a run of so many epochs, for a person to read; nothing for those that only programs need."""
    if row := read_epoch(event):
        return epoch_words(row, epochs)
    match event:
        case {"event": "warning" | "note" | "error", "message": str(message)}:
            return message
        case {"event": "dataset", "name": str(name), "train": int(train), "val": int(val)}:
            drawn = ", drawn by the program: not real images" if event.get("synthetic") else ""
            return f"{name}: {train:,} images to train on, {val:,} to validate{drawn}"
        case {"event": "precision", "precision": str(precision), "seconds": dict(seconds)} if len(seconds) > 1:
            return precision_text(event, precision, seconds)
        case {"event": "start", "device_name": str(device), "ranks": int(ranks), "precision": str(precision)}:
            return f"training on {device} in {precision}: {_workforce(event, ranks)}"
        case {"event": "control", "action": str(action), "error": str(error)}:
            return f"asked to {action}: {error}"
        case {"event": "control", "action": "checkpoint", "step": int(step)} if step > 0:
            return f"asked to checkpoint: saved at step {step}"
        case {"event": "control", "action": str(action)}:
            return f"asked to {action}"
        case _:
            return ""


def precision_text(event: Mapping[str, Any], precision: str, seconds: Mapping[str, Any]) -> str:
    """Return why a precision was chosen.

    For example: bf16 is 6 % faster than fp32, less than the 10 % needed: training in fp32
    """
    exact, faster = (read_number(seconds.get(name)) or 0.0 for name in ("fp32", "bf16"))
    if not (exact and faster):
        return f"training in {precision}"
    speedup = read_number(event.get("speedup")) or exact / faster
    compared = faster_text("bf16", "fp32", speedup) if speedup >= 1 else faster_text("fp32", "bf16", 1 / speedup)
    if precision == "fp32" and speedup >= 1:
        compared += f", less than the {MARGIN - 1:.0%} needed".replace("%", " %")
    kept = ", as in the first attempt" if event.get("kept") else ""
    timings = " and ".join(f"{1000 * took:.{0 if took > 0.01 else 2}f}" for took in (exact, faster))
    timings = f"fp32 and bf16: {timings} ms for {event.get('images', 0)} images"
    return f"{compared} ({timings}): training in {precision}{kept}"


def faster_text(one: str, other: str, speedup: float) -> str:
    """Return how much faster one is than the other, rounded down: bf16 is 6 % faster than fp32."""
    if speedup >= 2:
        return f"{one} is {math.floor(10 * speedup) / 10:g} times as fast as {other}"
    return f"{one} is {math.floor(100 * (speedup - 1) + 1e-6)} % faster than {other}"


def speed_words(snapshot: Snapshot) -> list[str]:
    """3,512 images/s, 62 % of the machine's peak, 4:05 left: those that are known."""
    words = []
    if snapshot.images_per_second:
        words.append(f"{snapshot.images_per_second:,.0f} images/s")
    if snapshot.peak_share is not None:
        words.append(f"{snapshot.peak_share:.0%} of peak")
    if snapshot.remaining_seconds is not None and snapshot.status.live:
        words.append(f"{duration_text(snapshot.remaining_seconds)} left")
    return words


def end_words(snapshot: Snapshot) -> str:
    """What a finished run came to: time, speed, device and accuracy."""
    last = snapshot.epochs[-1].values if snapshot.epochs else {}
    count = len(snapshot.epochs)
    words = [f"{count} epoch{'s' if count != 1 else ''} in {duration_text(last.get('seconds', 0.0))}"]
    if "images_per_second" in last:
        words.append(f"{last['images_per_second']:,.0f} images/s")
    start = snapshot.event("start")
    match start:
        case {"device_name": str(device), "ranks": int(ranks), "precision": str(precision)}:
            words.append(f"{device}, {_workforce(start, ranks)}, {precision}")
    if snapshot.best is not None:
        words.append(f"best validation {snapshot.best:.4f}")
    words += damaged_words(last)
    return "finished: " + " · ".join(words)


def _workforce(event: Mapping[str, Any], ranks: int) -> str:
    threads = f", {event.get('threads')} threads{' each' if ranks > 1 else ''}" if event.get("device") == "cpu" else ""
    return f"{ranks} rank{'s' if ranks > 1 else ''}{threads}"
