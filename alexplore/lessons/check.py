"""Check a lesson against the analysis of its preset, for authors of lessons."""

from __future__ import annotations

from collections.abc import Iterator

from alexplore.core.errors import AlexploreError
from alexplore.core.settings import SettingError, found_text, nearest
from alexplore.lessons.lesson import Lesson
from alexplore.network.analysis import Analysis, analyse
from alexplore.presets.library import load_preset


def lesson_problems(lesson: Lesson) -> tuple[str, ...]:
    """Return the errors of a lesson, each with its step and its key; none if all answers are right."""
    try:
        preset = load_preset(lesson.preset)
    except AlexploreError as error:
        return (f"preset: {error}",)
    return tuple(_problems(lesson, analyse(preset.network)))


def _problems(lesson: Lesson, analysis: Analysis) -> Iterator[str]:
    names = [row.layer.name for row in analysis.rows]
    if analysis.broken is not None:
        yield f"preset: {lesson.preset} has a broken layer: {analysis.broken.error}"
    for count, step in enumerate(lesson.steps, 1):
        if step.layer is not None and step.layer not in names:
            yield f"step {count}: layer: there is no layer {found_text(step.layer)}{nearest(step.layer, names)}"
            continue
        if step.question is None:
            continue
        try:
            for problem in step.question.problems(analysis):
                yield f"step {count}: question: {problem}"
        except SettingError as error:
            yield f"step {count}: question: {error}"
