"""A lesson beside the network: text, a question, the answer, and whether it is right."""

from __future__ import annotations

from typing import ClassVar

from rich.console import Group, RenderableType
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Input, Static

from alexplore.tui.edit_session import EditSession
from alexplore.tui.lesson_progress import LessonProgress
from alexplore.tui.messages import LessonLeft, LessonPointed


class LessonPanel(Vertical):
    """The panel at the right of the network that shows a lesson."""

    DEFAULT_CSS = """
    LessonPanel {
        width: 44;
        height: 1fr;
        padding: 0 1;
        border: round $frame;
        background: $background;
        border-title-color: $foreground;
        border-title-style: bold;
        border-subtitle-color: $faint;
        VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; }
        Input { margin: 1 0 0 0; }
    }
    LessonPanel:focus-within { border: heavy $frame-focus; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "check", "check", tooltip="Check the answer; where it is right, or there is none, go on"),
        Binding("ctrl+n,right", "go(1)", "next", tooltip="The next step of the lesson"),
        Binding("ctrl+b,left", "go(-1)", "back", tooltip="The step before"),
        Binding("escape", "leave", "leave", tooltip="Close the lesson; it goes on where you left it"),
    ]

    def __init__(self, progress: LessonProgress, session: EditSession) -> None:
        super().__init__()
        self.progress = progress
        self._session = session

    def compose(self) -> ComposeResult:
        """Yield the text above the answer."""
        with VerticalScroll():
            yield Static(id="lesson-text")
        yield Input(compact=True, id="lesson-answer")

    def on_mount(self) -> None:
        """Show the step."""
        self.show_step()

    def show_step(self) -> None:
        """Show the step, and focus the input of its answer."""
        question = self.progress.step.question
        answer = self.query_one(Input)
        answer.value = ""
        answer.placeholder = question.answered_by if question else ""
        answer.display = bool(answer.placeholder)
        self._show()
        self.query_one(VerticalScroll).scroll_home(animate=False)
        (answer if answer.display else self.query_one(VerticalScroll)).focus()
        if self.progress.step.layer:
            self.post_message(LessonPointed(self.progress.step.layer))

    def _show(self) -> None:
        progress, question = self.progress, self.progress.step.question
        self.border_title = Text(progress.title)
        checks = "⏎ next" if progress.solved else "⏎ check"
        self.border_subtitle = f"{checks} · ^n ^b steps · esc leaves"
        parts: list[RenderableType] = []
        if progress.step.title:
            parts.append(Text(progress.step.title, "bold"))
        parts.append(Text(progress.step.text))
        if question is not None:
            parts.append(Text(f"\n{question.ask}", "bold"))
            parts += [Text(line) for line in question.lines]
            if not question.answered_by:
                parts.append(Text("Change the network, come back with tab, and press ⏎.", "dim"))
        if verdict := progress.verdict:
            colours = self.app.get_css_variables()
            mark, colour = ("✓", colours["good"]) if verdict.right else ("✗", colours["bad"])
            parts.append(Text(f"\n{mark} {verdict.text}", f"bold {colour.removeprefix('ansi_')}"))
            if progress.explanation:
                parts.append(Text(progress.explanation))
        if progress.index + 1 == len(progress.lesson.steps):
            right, questions = progress.score
            parts.append(Text(f"\n{right} of {questions} questions answered · source: {progress.lesson.source}", "dim"))
        if self._session.modified and (question is None or question.answered_by):
            parts.append(Text("\nThe network in the table is edited; u takes edits back.", "dim"))
        self.query_one("#lesson-text", Static).update(Group(*parts))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Check what was typed."""
        event.stop()
        self.action_check()

    def action_check(self) -> None:
        """Check the answer; go to the next step if there is nothing to check."""
        typed = self.query_one(Input).value.strip()
        question = self.progress.step.question
        if question is None or (self.progress.solved and not typed):
            self.action_go(1)
            return
        if question.answered_by and not typed:
            self.notify(f"type {question.answered_by}")
            return
        verdict = self.progress.answer(typed, self._session.analysis)
        if verdict is not None and verdict.right:
            self.query_one(Input).value = ""
        self._show()
        self.call_after_refresh(self.query_one(VerticalScroll).scroll_end, animate=False)

    def action_go(self, steps: int) -> None:
        """Show another step; close the lesson after its last step."""
        if self.progress.go(steps):
            self.show_step()
        elif steps > 0:
            right, questions = self.progress.score
            self.progress.index = 0
            self.notify(f"{self.progress.lesson.title}: {right} of {questions} questions answered")
            self.action_leave()

    def action_leave(self) -> None:
        """Ask for the end of the lesson."""
        self.post_message(LessonLeft())
