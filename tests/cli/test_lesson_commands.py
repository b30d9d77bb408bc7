"""`alexplore lesson`, and `alexplore` alone."""

from __future__ import annotations

from pathlib import Path

from alexplore.lessons.library import shipped_folder, shipped_lessons
from tests.support.processes import Alexplore


def test_lessons_are_listed(alexplore: Alexplore) -> None:
    done = alexplore("lesson", "list")
    assert done.returncode == 0
    for lesson in shipped_lessons():
        assert lesson.name in done.stdout


def test_a_lesson_is_checked(alexplore: Alexplore, tmp_path: Path) -> None:
    shipped = shipped_folder() / "01-one-convolution.toml"
    done = alexplore("lesson", "check", str(shipped))
    assert (done.returncode, done.stdout) == (0, f"{shipped}: 5 steps; 3 questions, answers confirmed\n")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(shipped.read_text().replace("answer = 34944", "answer = 34945"))
    done = alexplore("lesson", "check", str(shipped), str(wrong))
    assert done.returncode == 1
    assert f"{wrong}: step 2: question: answer: 34,945 is not right; conv1 params is 34,944" in done.stderr
    wrong.write_text(shipped.read_text().replace('title = "One convolution, counted"', "title = 3"))
    done = alexplore("lesson", "check", str(wrong))
    assert done.returncode == 2
    assert f"{wrong}: title: found 3, allowed: a string" in done.stderr


def test_alexplore_alone_prints_help_without_a_terminal(alexplore: Alexplore) -> None:
    done = alexplore()
    assert done.returncode == 0
    assert "Usage: alexplore" in done.stdout
    assert "lesson" in done.stdout
