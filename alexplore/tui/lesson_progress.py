"""Progress in a lesson: the current step and the answers so far. It is kept until the app is closed."""

from __future__ import annotations

from dataclasses import dataclass, field

from alexplore.lessons.lesson import Lesson, Step
from alexplore.lessons.questions import Verdict
from alexplore.network.analysis import Analysis

TRIES = 3  # wrong answers after which the right one is shown


@dataclass
class LessonProgress:
    """A lesson with the answers given so far; `analysis` is that of its preset."""

    lesson: Lesson
    analysis: Analysis
    index: int = 0
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    wrong: dict[int, int] = field(default_factory=dict)

    @property
    def step(self) -> Step:
        """The step that is shown."""
        return self.lesson.steps[self.index]

    @property
    def title(self) -> str:
        """The number of the step, and the title of the lesson."""
        return f"{self.index + 1} of {len(self.lesson.steps)} · {self.lesson.title}"

    @property
    def verdict(self) -> Verdict | None:
        """The verdict on the last answer to the question of this step."""
        return self.verdicts.get(self.index)

    @property
    def solved(self) -> bool:
        """Whether the question of this step was answered correctly, or there is none."""
        return self.step.question is None or (self.verdict is not None and self.verdict.right)

    @property
    def score(self) -> tuple[int, int]:
        """The number of correctly answered questions, and the number of all questions."""
        questions = [index for index, step in enumerate(self.lesson.steps) if step.question]
        right = [index for index in questions if index in self.verdicts and self.verdicts[index].right]
        return len(right), len(questions)

    @property
    def explanation(self) -> str:
        """The right answer with its arithmetic, once it may be shown; the hint after a wrong answer; else ""."""
        question = self.step.question
        if question is None or self.verdict is None:
            return ""
        if self.verdict.right or self.wrong.get(self.index, 0) >= TRIES:
            return question.explanation(self.analysis)
        return question.hint or ""

    def answer(self, typed: str, edited: Analysis) -> Verdict | None:
        """Judge the typed answer, or the edited network; return None if the step has no question."""
        question = self.step.question
        if question is None:
            return None
        verdict = question.judge(typed, self.analysis, edited)
        self.verdicts[self.index] = verdict
        if not verdict.right:
            self.wrong[self.index] = self.wrong.get(self.index, 0) + 1
        return verdict

    def go(self, steps: int) -> bool:
        """Go to a later or an earlier step; return whether there is one."""
        index = self.index + steps
        if not 0 <= index < len(self.lesson.steps):
            return False
        self.index = index
        return True
