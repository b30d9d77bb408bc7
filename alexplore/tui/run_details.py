"""The details of one run as labelled lines, for the pane beside the list."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alexplore.core.formatting import bytes_text, duration_text
from alexplore.core.home import home_path
from alexplore.presets.recipe import Recipe
from alexplore.runs.checkpoint_files import (
    StoredCheckpoint,
    checkpoint_text,
    folder_size,
    resume_text,
    stored_checkpoints,
)
from alexplore.runs.compare import ComparedRow, compare_configs
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory
from alexplore.runs.listing import ListedRun
from alexplore.runs.messages import STATE_GLYPHS, progress_text, state_text, weights_texts
from alexplore.runs.metrics import BEST_METRIC, METRICS
from alexplore.runs.preset_changes import preset_config
from alexplore.runs.protocol import WeightsEvent
from alexplore.runs.queue import Item
from alexplore.runs.reader import RunReader
from alexplore.runs.summary import Summary

MOST_CHANGES = 6  # differences from the preset that are listed


@dataclass(frozen=True)
class Detail:
    """A labelled line; it has the colour of `state`, "" for none."""

    label: str
    text: str
    state: str = ""


@dataclass(frozen=True)
class RunDetails:
    """Details that are read from the disk: checkpoints, size, differences from the preset, first weights."""

    run: RunDirectory
    checkpoints: Sequence[StoredCheckpoint] = ()
    size: int = 0
    resume: str = ""  # where it would continue
    changes: Sequence[ComparedRow] = ()
    weights: WeightsEvent | None = None  # the weights that it started from


def read_details(summary: Summary) -> RunDetails:
    """Return the details of a run."""
    run = summary.run
    resume = resume_text(summary) if summary.status.resumable else ""
    return RunDetails(
        run, stored_checkpoints(run), folder_size(run), resume, _changes(summary.config), _weights(summary)
    )


def _weights(summary: Summary) -> WeightsEvent | None:
    if summary.config is None or summary.config.recipe.weights is None:
        return None
    events = [line.event for line in RunReader(summary.run).events() if isinstance(line.event, WeightsEvent)]
    return events[-1] if events else None


def _changes(config: RunConfig | None) -> Sequence[ComparedRow]:
    original = None if config is None else preset_config(config)
    return [] if config is None or original is None else compare_configs([config, original])


def detail_lines(run: ListedRun, details: RunDetails | None) -> list[Detail]:
    """Return the lines about a run, the most important first; without `details` only those known from the list."""
    summary = run.summary
    facts = [_state_fact(summary)]
    if failed_at_start(summary):
        facts.append(Detail("⏎ fixes", "its settings in the form of Train, to start it again"))
    best = summary.best_epoch
    if best is not None:
        facts.append(Detail("best", f"{METRICS[BEST_METRIC].number(summary.best)} at epoch {best.epoch}"))
    if summary.config is not None:
        facts.append(Detail("recipe", recipe_text(summary.config.recipe)))
        facts.append(Detail("data", data_text(summary.config)))
    if run.item is not None:
        return [*facts, *_queue_facts(run.item, run.place)]
    if run.note:
        facts.append(Detail("note", run.note))
    if details is not None and details.run == summary.run:
        if details.weights is not None:
            facts += [Detail("weights", text) for text in weights_texts(details.weights)]
        if details.changes:
            named = [f"{row.name} {row.texts[0]} ({row.texts[1]})" for row in details.changes[:MOST_CHANGES]]
            more = len(details.changes) - len(named)
            facts.append(Detail("≠ preset", ", ".join(named) + (f" and {more} more" if more else "")))
        if details.resume:
            facts.append(Detail("r resumes", details.resume))
        for found in details.checkpoints:
            saved = "" if found.saved is None else f" · saved {when_text(found.saved)}"
            facts.append(Detail("checkpoint", checkpoint_text(found) + saved))
        facts.append(Detail("size", bytes_text(details.size)))
    facts.append(Detail("folder", home_path(summary.run.path)))
    return facts


def _queue_facts(item: Item, place: int) -> list[Detail]:
    facts = [Detail("queue", f"place {place}: starts when the hardware is free")] if place else []
    if item.sweep:
        facts.append(Detail("sweep", item.sweep))
    if item.command:
        facts.append(Detail("at its end", item.command))
    return facts


def failed_at_start(summary: Summary) -> bool:
    """Return whether a run failed before its first step: there is nothing to watch or to resume, only to correct."""
    return summary.status.state == "failed" and not summary.status.step and summary.config is not None


def headline(run: ListedRun) -> Detail:
    """Return one line without a label: why the run ended, else its note, else its state."""
    status = run.summary.status
    glyph = STATE_GLYPHS.get(status.state, " ")
    key = " · ⏎ fixes" if failed_at_start(run.summary) else ""
    return Detail("", f"{glyph} {run.name}: {status.reason or run.note or state_text(status)}{key}", status.state)


def _state_fact(summary: Summary) -> Detail:
    status = summary.status
    texts = [f"{STATE_GLYPHS.get(status.state, ' ')} {state_text(status)}", f"epoch {progress_text(summary)}"]
    if status.state == "running" and summary.remaining_seconds is not None:
        texts.append(f"{duration_text(summary.remaining_seconds)} left")
    if status.updated and not status.live:
        texts.append(when_text(status.updated))
    text = " · ".join(texts)
    return Detail("state", f"{text}: {status.reason}" if status.reason else text, status.state)


def recipe_text(recipe: Recipe) -> str:
    """Return `adam 0.002 cosine · batch 128 · seed 0`."""
    return f"{recipe.optimizer} {recipe.lr:g} {recipe.schedule} · batch {recipe.batch_size} · seed {recipe.seed}"


def data_text(config: RunConfig) -> str:
    """Return `fashion-mnist`, with the folder and the limits of images if there are any."""
    data = config.data
    limits = [
        f"{count:,} to {what}" for count, what in ((data.limit_train, "train"), (data.limit_val, "validate")) if count
    ]
    folder = [home_path(Path(data.folder))] if data.folder else []
    return " · ".join([config.recipe.dataset, *folder, *limits])


def size_text(summary: Summary, size: int) -> str:
    """Return what deleting a run would lose: `231 MiB · 1.57/3 epochs · best 87.4%`."""
    best = "" if summary.best is None else f" · best {METRICS[BEST_METRIC].number(summary.best)}"
    return f"{bytes_text(size)} · {progress_text(summary)} epochs{best}"


def when_text(seconds: float) -> str:
    """Return a time of day, with the date if it was not today."""
    try:
        then = time.localtime(seconds)
    except (OverflowError, ValueError, OSError):  # a number that no clock shows
        return "–"
    today = time.localtime()[:3] == then[:3]
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)
