"""Read lesson files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexplore.core.settings import (
    Kind,
    SettingError,
    found_text,
    list_schema,
    nearest,
    optional,
    read_settings,
    setting,
    settings_schema,
)
from alexplore.core.settings import text as string
from alexplore.core.toml_files import parse_toml, toml_content
from alexplore.lessons.lesson import Lesson, LessonError, Step
from alexplore.lessons.questions import QUESTIONS, Question

LARGEST_FILE = 1_000_000  # bytes; a lesson has a few thousand


def _question() -> Kind[Question]:
    def parse(value: Any) -> Question:
        if not isinstance(value, Mapping):
            raise ValueError  # noqa: TRY004 (the one error of a kind)
        kind = value.get("type")
        if not isinstance(kind, str) or kind not in QUESTIONS:
            found = "nothing" if kind is None else found_text(kind)
            raise SettingError(f"type: found {found}{nearest(str(kind), QUESTIONS)} Allowed: {', '.join(QUESTIONS)}")
        cls = QUESTIONS[kind]
        return cls(**read_settings(cls, {key: found for key, found in value.items() if key != "type"}))

    return Kind("a table with type, ask and what its type needs", parse, {"type": "object"})


@dataclass(frozen=True)
class StepSettings:
    """The keys of a `[[steps]]` table."""

    text: str = setting(string(), doc="what the learner reads")
    title: str | None = setting(optional(string()), None, "a heading")
    layer: str | None = setting(optional(string()), None, "the layer to point at; left out, that of the question")
    question: Question | None = setting(optional(_question()), None, "a question")


def _steps() -> Kind[tuple[Step, ...]]:
    def parse(value: Any) -> tuple[Step, ...]:
        if not isinstance(value, list) or not value or not all(isinstance(entry, Mapping) for entry in value):
            raise ValueError
        steps = []
        for count, entry in enumerate(value, 1):
            try:
                read = read_settings(StepSettings, entry)
            except SettingError as error:
                raise SettingError(f"step {count}: {error}") from None
            question = read.get("question")
            layer = read.get("layer") or getattr(question, "layer", None)
            steps.append(Step(flowing(read["text"]), read.get("title") or "", layer, question))
        return tuple(steps)

    return Kind("one or more [[steps]]", parse, list_schema(settings_schema(StepSettings)))


@dataclass(frozen=True)
class LessonSettings:
    """The keys of a lesson file."""

    title: str = setting(string(), doc="what the lesson is called")
    preset: str = setting(string(), doc="the preset that is opened")
    steps: tuple[Step, ...] = setting(_steps(), doc="the steps")
    summary: str | None = setting(optional(string()), None, "what is learnt, in a sentence")
    source: str | None = setting(optional(string()), None, "where the facts are from")


def read_lesson(path: Path) -> Lesson:
    """Read a lesson file.

    Raises:
        LessonError: the file can't be read, is not TOML (with the line), or holds something that is not allowed.
    """
    return parse_lesson(toml_content(path, LessonError, LARGEST_FILE), path)


def parse_lesson(content: str, path: Path) -> Lesson:
    """Return the lesson of a file's text; `path` gives its name, and names it in messages.

    Raises:
        LessonError: the text is not TOML (with the line), or holds something that is not allowed.
    """
    values = parse_toml(content, path, LessonError)
    try:
        read = read_settings(LessonSettings, values)
    except SettingError as error:
        raise LessonError(f"{path}: {str(error).replace('steps: step ', 'step ', 1)}") from None
    words = {key: flowing(read.get(key) or "") for key in ("title", "summary", "source")}
    return Lesson(path.stem, preset=read["preset"], steps=read["steps"], path=path, **words)


def flowing(words: str) -> str:
    """Return a text without the line breaks inside its paragraphs, which empty lines separate."""
    paragraphs = re.split(r"\n\s*\n", words.strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
