"""What a lesson is: a title, a preset, and steps of text with or without a question."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alexplore.core.errors import UseOrFailureError
from alexplore.lessons.questions import Question


class LessonError(UseOrFailureError):
    """A lesson that can't be found, read or used; the message says where, what was found and what is allowed.

    `failure` means that its file can't be read (exit code 1), else it is wrong use (exit code 2).
    """


@dataclass(frozen=True)
class Step:
    """A text, which may point at a layer, and may end with a question."""

    text: str
    title: str = ""
    layer: str | None = None
    question: Question | None = None


@dataclass(frozen=True)
class Lesson:
    """A lesson; its name is the stem of its file."""

    name: str
    title: str
    preset: str
    steps: tuple[Step, ...]
    summary: str = ""
    source: str = ""
    path: Path | None = None
