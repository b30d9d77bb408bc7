"""What happened in a run, in words: the same lines in the app and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alexplore.network.words import duration_text
from alexplore.runs.watch import EpochRow

NUMBERS = (("train/loss", "loss"), ("train/acc", "train"), ("val/acc", "validation"))


def epoch_words(row: EpochRow, epochs: int) -> str:
    """epoch  1/10 · loss 0.5123 · train 0.8120 · validation 0.8810 · 17.1 s"""
    values = row.values
    words = [f"epoch {row.epoch:>{len(str(epochs))}}/{epochs}", *number_words(values)]
    if "val/acc5" in values:
        words.append(f"top-5 {values['val/acc5']:.4f}")
    if "seconds" in values:
        words.append(duration_text(values["seconds"]))
    return " · ".join(words)


def number_words(values: Mapping[str, float]) -> list[str]:
    """loss 0.5123, train 0.8120, validation 0.8810: those there are."""
    return [f"{label} {values[key]:.4f}" for key, label in NUMBERS if key in values]


def event_words(event: Mapping[str, Any]) -> str:
    """An event for a person to read; nothing for those that only programs need."""
    match event:
        case {"event": "warning" | "note" | "error", "message": str(message)}:
            return message
        case {"event": "dataset", "name": str(name), "train": int(train), "val": int(val)}:
            drawn = ", drawn by the program: not real images" if event.get("synthetic") else ""
            return f"{name}: {train:,} images to train on, {val:,} to validate{drawn}"
        case {"event": "precision", "precision": str(precision), "seconds": dict(seconds)} if len(seconds) > 1:
            timings = ", ".join(f"{name} {1000 * took:.0f} ms" for name, took in seconds.items())
            return f"a step takes {timings}: {precision} it is"
        case {"event": "start", "device_name": str(device), "ranks": int(ranks), "precision": str(precision)}:
            threads = f", {event['threads']} threads each" if event.get("device") == "cpu" else ""
            whole = f"{ranks} ranks" if ranks > 1 else "1 rank"
            return f"training on {device} in {precision}: {whole}{threads}"
        case {"event": "control", "action": str(action)}:
            return f"asked to {action}"
        case _:
            return ""
