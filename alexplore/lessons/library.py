"""Where lessons are found: a path, or the name of a shipped one."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alexplore.core.home import expand
from alexplore.core.settings import nearest
from alexplore.core.shipped_files import shipped_path
from alexplore.core.toml_files import is_path
from alexplore.lessons.lesson import Lesson, LessonError
from alexplore.lessons.reader import read_lesson


def shipped_folder() -> Path:
    """Return the folder of the shipped lessons."""
    return shipped_path("lessons/shipped", "lessons")


@cache
def shipped_lessons() -> tuple[Lesson, ...]:
    """Return the shipped lessons, sorted by the numbers at the start of their file names.

    Raises:
        LessonError: one of them can't be read.
    """
    return tuple(read_lesson(path) for path in sorted(shipped_folder().glob("*.toml")))


def load_lesson(name_or_path: str) -> Lesson:
    """Return a lesson by its name, by its number or without it, or by the path of its file.

    Raises:
        LessonError: it can't be found, read or used.
        NoHomeError: its home folder does not exist.
    """
    if is_path(name_or_path):
        return read_lesson(expand(name_or_path))
    lessons = shipped_lessons()
    for lesson in lessons:
        number, _, rest = lesson.name.partition("-")
        if name_or_path in (lesson.name, rest, number, number.lstrip("0")):
            return lesson
    names = [lesson.name for lesson in lessons]
    raise LessonError(f"no lesson {name_or_path!r}{nearest(name_or_path, names)} Lessons: {', '.join(names)}")
