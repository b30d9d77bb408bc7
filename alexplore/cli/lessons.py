"""Commands for lessons: list, check."""

from __future__ import annotations

from typing import Annotated

import typer

from alexplore.cli.output import complain, console, narrate, say
from alexplore.core.errors import FAILED
from alexplore.core.formatting import count_text
from alexplore.lessons.check import lesson_problems
from alexplore.lessons.library import load_lesson, shipped_lessons

app = typer.Typer(help="Lessons: list, check. The app shows them beside the network.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """List the lessons that come with alexplore."""
    from alexplore.render.fitted_table import Column, FittingTable

    table = FittingTable(
        Column("lesson", left=True),
        Column("title", left=True),
        Column("network", rank=1, left=True),
        Column("steps", rank=2),
    )
    for lesson in shipped_lessons():
        table.add(lesson.name, lesson.title, lesson.preset, str(len(lesson.steps)))
    console().print(table)
    narrate("open one in the app: alexplore, ctrl+p, lesson")


@app.command()
def check(
    lessons: Annotated[list[str], typer.Argument(metavar="FILE…", help="Lesson files, or names of shipped lessons.")],
) -> None:
    """Check lesson files: that they can be read, and that the analysis confirms every answer."""
    failed = False
    for name in lessons:
        lesson = load_lesson(name)
        problems = lesson_problems(lesson)
        failed |= bool(problems)
        for problem in problems:
            complain(f"{lesson.path}: {problem}")
        if not problems:
            questions = sum(step.question is not None for step in lesson.steps)
            say(f"{lesson.path}: {count_text(len(lesson.steps), 'step')}; {questions} questions, answers confirmed")
    if failed:
        raise typer.Exit(FAILED)
