"""The texts of the screen of a watched run: heading, tiles, recipe, checkpoints and ending."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from alexplore.core.formatting import clock_text, count_text, duration_text
from alexplore.core.settings import settings_of
from alexplore.presets.recipe import Recipe, used_settings
from alexplore.render.wrapping import wrap_cells
from alexplore.runs.curves import Curve
from alexplore.runs.diagnosis import Finding
from alexplore.runs.messages import STATE_GLYPHS, machine_text, progress_text
from alexplore.runs.metrics import METRICS
from alexplore.runs.protocol import CheckpointEvent, StartEvent
from alexplore.runs.step_time import step_time
from alexplore.runs.watch import Snapshot
from alexplore.tui.rate_line import rate_line

ESSENTIAL = ("epochs", "batch_size", "optimizer", "lr", "schedule", "precision", "seed")
"""Settings of a recipe that are always shown; the others are shown if they differ from the preset's."""
SHOWN_CHECKPOINTS = 3
NO_BREAK = "\u00a0"
SINGLE_LETTER = re.compile(r"(?<=\b\w) ")  # the blank after one


@dataclass(frozen=True)
class Tile:
    """A number with its title and a note below it."""

    title: str
    value: str
    note: str = ""

    @property
    def line(self) -> str:
        """The tile in one line."""
        return f"{self.title} {self.value}"


@dataclass(frozen=True)
class Fact:
    """A labelled value, with a note such as the preset's value."""

    label: str
    value: str
    note: str = ""


def time_of_day(seconds: float) -> str:
    """Return the local time of day of a time since 1970: 18:42."""
    return clock_text(seconds)[:5]


def heading(snapshot: Snapshot) -> list[str]:
    """Return state and name, preset and data set, and the device: `● RUNNING  night-3`, `paper on cifar10`, …"""
    status, config = snapshot.status, snapshot.config
    dataset = config.recipe.dataset
    drawn = " (images drawn by the program, not real ones)" if dataset == "synthetic" else ""
    parts = [f"{config.preset} on {dataset}{drawn}"]
    if start := snapshot.last(StartEvent):
        ranks = count_text(start.ranks, "rank")
        parts.append(f"{start.device_name}, {ranks}, {start.precision}")
    if snapshot.events:
        parts.append(f"started {time_of_day(snapshot.events[0].head.time)}")
    if not snapshot.whole:
        parts.append("still being read: the curves are a sample")
    return [f"{STATE_GLYPHS.get(status.state, ' ')} {status.state.upper()}  {snapshot.run.name}", *parts]


def progress(snapshot: Snapshot) -> list[str]:
    """Return `epoch 1.57/3`, `52%` and `step 1,204`, the most important first."""
    return [f"epoch {progress_text(snapshot)}", f"{snapshot.fraction:.0%}", f"step {snapshot.status.step:,}"]


def tiles(snapshot: Snapshot) -> list[Tile]:
    """Return the most important numbers of a run: best, loss, gap to the training accuracy, speed, time left."""
    return [_validation(snapshot), _loss(snapshot), _train(snapshot), _speed(snapshot), _time(snapshot)]


def _latest(snapshot: Snapshot, key: str) -> str:
    return METRICS[key].number(snapshot.latest.get(key))


def _validation(snapshot: Snapshot) -> Tile:
    best = snapshot.best_epoch
    if best is None:
        return Tile("best", "–", "no epoch yet")
    values = [epoch.metrics["val/acc"] for epoch in snapshot.epochs if "val/acc" in epoch.metrics]
    change = f" · last {values[-1] - values[-2]:+.1%}" if len(values) > 1 else ""
    return Tile("best", METRICS["val/acc"].number(best.metrics["val/acc"]), f"epoch {best.epoch}{change}")


def _loss(snapshot: Snapshot) -> Tile:
    known = "val/loss" in snapshot.latest
    return Tile(
        "loss", _latest(snapshot, "train/loss"), f"validation {_latest(snapshot, 'val/loss')}" if known else "training"
    )


def _train(snapshot: Snapshot) -> Tile:
    last = snapshot.epochs[-1].metrics if snapshot.epochs else {}
    if "train/acc" not in last or "val/acc" not in last:
        return Tile("train", _latest(snapshot, "train/acc"), "on training images")
    gap = 100 * (last["train/acc"] - last["val/acc"])
    return Tile("train", _latest(snapshot, "train/acc"), f"gap {gap:+.1f} points")


def _speed(snapshot: Snapshot) -> Tile:
    share = snapshot.peak_share
    start = snapshot.last(StartEvent)
    device = start.device.upper() if start else ""
    note = f"{share:.0%} of the {device}'s peak" if share is not None else "images a second"
    speed = f"{_latest(snapshot, 'images_per_second')}/s" if "images_per_second" in snapshot.latest else "–"
    return Tile("speed", speed, note)


def _time(snapshot: Snapshot) -> Tile:
    state, left = snapshot.status.state, snapshot.remaining_seconds
    if state == "paused":
        return Tile("left", "paused", "space continues")
    if snapshot.status.live:
        if left is None:
            return Tile("left", "–", "not known yet")
        return Tile("left", duration_text(left), f"ends about {time_of_day(snapshot.status.updated + left)}")
    seconds = _trained_seconds(snapshot)
    took = duration_text(seconds) if seconds else "–"
    return Tile("took", took, f"{state} {time_of_day(snapshot.status.updated)}")


def _trained_seconds(snapshot: Snapshot) -> float:
    """Return how long a run was trained: until the end of its last epoch, or until the last value after that."""
    until_epoch = snapshot.epochs[-1].seconds if snapshot.epochs else 0.0
    if snapshot.status.state == "finished":
        return until_epoch
    return max(until_epoch, *(60 * curve.minutes[-1] for curve in snapshot.curves.values() if curve.minutes), 0.0)


NEXT_STEPS = "e evaluates · i predicts · T trains on · L at another rate · f forks · s exports"


def ending(snapshot: Snapshot) -> str:
    """Return the result of an ended run in one line; "" for a live run."""
    state = snapshot.status.state
    if snapshot.status.live:
        return ""
    best = snapshot.best_epoch
    reason = f": {snapshot.status.reason}" if snapshot.status.reason else ""
    result = f" · best {METRICS['val/acc'].number(snapshot.best)} at epoch {best.epoch}" if best else ""
    if state == "finished":
        seconds = snapshot.epochs[-1].seconds if snapshot.epochs else 0.0
        return f"{STATE_GLYPHS[state]} finished in {duration_text(seconds)}{reason}{result} · {NEXT_STEPS}"
    saved = snapshot.last(CheckpointEvent)
    where = f"r resumes from step {saved.step:,}" if saved else "r starts anew: no checkpoint was saved yet"
    return f"{STATE_GLYPHS.get(state, '✗')} {state}{reason}{result} · {where}"


def other_ways_on(snapshot: Snapshot) -> str:
    """Return how a run that ended early may also be resumed, to be added to `ending` where there is room for it."""
    resumes = snapshot.status.resumable and snapshot.last(CheckpointEvent)
    return " · L resumes at another rate" if resumes else ""


def within_lines(text: str, width: int, lines: int, more: str = "") -> str:
    """Return a text wrapped to lines of `width` characters; after `lines` lines it is cut with an ellipsis.

    `more` is added if all of it fits. No line ends with a single letter: it may be a key, and what the key does belongs
    beside it.
    """
    wrapped = wrap_cells(SINGLE_LETTER.sub(NO_BREAK, text + more), max(10, width))
    if more and len(wrapped) > lines:
        return within_lines(text, width, lines)
    if len(wrapped) > lines:
        last = textwrap.shorten(" ".join(wrapped[lines - 1 :]), max(10, width), placeholder=" …")
        wrapped = [*wrapped[: lines - 1], last]
    return "\n".join(wrapped).replace(NO_BREAK, " ")


def within_height(lines: Sequence[str], height: int) -> list[str]:
    """Return lines, without blank ones if all would not fit; if they still don't, the last is the number left out."""
    if len(lines) > height:
        lines = [line for line in lines if line]
    if len(lines) > height > 0:
        lines = [*lines[: height - 1], f"… {len(lines) - height + 1} more lines"]
    return list(lines)


def finding_text(findings: Sequence[Finding], reason: str | None = None) -> str:
    """Return the most urgent finding with what to try, and the names of the others; "" if there are none.

    Of a finding that repeats the `reason` for which the run failed, only its name is given: the reason is shown above.
    """
    if not findings:
        return ""
    first, *others = findings
    more = f" · also: {', '.join(finding.rule for finding in others)}" if others else ""
    text = first.rule if reason and reason in first.text else first.text
    return f"⚠ {text} → {first.advice}{more}"


def recipe_facts(snapshot: Snapshot, before: Recipe | None) -> list[Fact]:
    """Return the essential and the changed settings, the latter with the values in the preset's recipe (`before`)."""
    recipe = snapshot.config.recipe
    values = settings_of(recipe)
    old = settings_of(before) if before is not None else values
    used = used_settings(recipe)
    shown = [key for key in used if key in ESSENTIAL or values.get(key) != old.get(key)]
    notes = {key: _was(values.get(key), old.get(key)) for key in shown}
    notes["lr"] = f"{notes['lr']} {rate_line(recipe, snapshot.fraction, snapshot.curves.get('lr', Curve()))}".strip()
    return [Fact(key, _text(values.get(key)), notes[key]) for key in shown]


def checkpoint_facts(snapshot: Snapshot) -> list[Fact]:
    """Return when the next checkpoint is due, and the last ones with their times, newest first; ★ marks the best."""
    saved = [line for line in snapshot.events if isinstance(line.event, CheckpointEvent)]
    due = next_checkpoint_seconds(snapshot)
    facts = [] if due is None else [Fact("next", f"in {duration_text(due)}")]
    for line in reversed(saved[-SHOWN_CHECKPOINTS:]):
        assert isinstance(line.event, CheckpointEvent)
        star = " ★" if line.event.best else ""
        facts.append(Fact(time_of_day(line.head.time), f"step {line.event.step:,}{star}"))
    return facts


def next_checkpoint_seconds(snapshot: Snapshot) -> float | None:
    """Return the seconds from the last status update to the next checkpoint; None if the run does not train.

    A checkpoint is saved at the end of each epoch, and within one after `checkpoint_minutes` without any.
    """
    status = snapshot.status
    started = snapshot.last_events.get(StartEvent)
    if status.state != "running" or started is None:
        return None
    saved = snapshot.last_events.get(CheckpointEvent, started)
    since = max(saved.head.time, started.head.time)
    due = since + 60 * snapshot.config.recipe.checkpoint_minutes - status.updated
    if snapshot.epochs_per_second:
        due = min(due, (1 - status.epoch % 1) / snapshot.epochs_per_second)
    return max(0.0, due)


def time_lines(snapshot: Snapshot, width: int) -> list[str]:
    """Return where the time of a step goes, in lines of at most `width` characters; nothing if it was not measured."""
    spent = step_time(snapshot)
    if spent is None:
        return []
    total = wrap_cells(f"{spent.name}: {spent.total:.3g} ms a step", width)
    return [*total, *_unbroken(spent.parts_text, width)]


def machine_lines(snapshot: Snapshot, width: int) -> list[str]:
    """Return the last load, memory, power and energy of the machine, in lines of at most `width` characters."""
    text = machine_text(snapshot.latest)
    return ["machine", *_unbroken(text, width)] if text else []


def _unbroken(text: str, width: int) -> list[str]:
    """Return a text wrapped only between its parts, which are separated by dots."""
    unbroken = text.replace(" ", NO_BREAK).replace(f"{NO_BREAK}·{NO_BREAK}", " · ")
    return [line.replace(NO_BREAK, " ") for line in wrap_cells(unbroken, width)]


def _text(value: object) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _was(value: object, before: object) -> str:
    return "" if value == before else f"({_text(before)})"


def fact_lines(facts: Sequence[Fact], width: int) -> list[str]:
    """Return facts as lines of at most `width` characters, with the values in one column; long values are wrapped."""
    label = max((len(fact.label) for fact in facts), default=0)
    lines: list[str] = []
    for fact in facts:
        room = max(10, width - label - 2)
        values = wrap_cells(f"{fact.value} {fact.note}", room, break_on_hyphens=False) or [""]
        labels = [fact.label, *[""] * (len(values) - 1)]
        lines += [f"{name:<{label}}  {value}".rstrip() for name, value in zip(labels, values, strict=True)]
    return lines
