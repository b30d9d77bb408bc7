"""Train, before it starts: the form of the planned run, and its checks."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.screen import ModalScreen
from textual.timer import Timer

from alexplore.core.boundary import ACTIONABLE, error_text
from alexplore.core.errors import AlexploreError
from alexplore.runs import service
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import RunDirectory, RunError, list_runs
from alexplore.runs.estimate import Speed
from alexplore.runs.launch import WaitingWorker
from alexplore.runs.speed import SpeedMeasurement
from alexplore.runs.status import read_status
from alexplore.tui.checks import Check, Checker, CheckRequest, CheckResult, Measurable, measurable
from alexplore.tui.form import Form
from alexplore.tui.messages import ModeRequested, WatchRequested
from alexplore.tui.screens.frame import FrameScreen
from alexplore.tui.state import AppState, Mode
from alexplore.tui.widgets.check_list import CheckList
from alexplore.tui.widgets.cursor_list import CursorList
from alexplore.tui.widgets.setting_list import SettingList
from alexplore.tui.widgets.setting_pane import SettingPane
from alexplore.tui.widgets.start_button import StartButton

CHECK_SECONDS = 0.15  # without a keystroke before what was typed is checked
WAITING_SECONDS = 0.3  # after the form has opened, until a worker is started that waits
MEASURE_SECONDS = 3.0  # without a change before the speed is measured, if it is only a guess so far


@dataclass
class Checked(Message):
    """A planned run was checked."""

    request: CheckRequest
    result: CheckResult


@dataclass
class WorkerReady(Message):
    """A worker that waits has imported PyTorch, or has exited."""

    worker: WaitingWorker


@dataclass
class SpeedMeasured(Message):
    """The speed of a planned run, measured over more steps than before; None if it can't be measured.

    `stopped` means that the measurement was ended before its time.
    """

    config: RunConfig
    images_per_second: float | None
    done: bool
    stopped: bool = False


@dataclass
class Created(Message):
    """The run directory was made; its worker starts."""

    run: RunDirectory


@dataclass
class Refused(Message):
    """The run can't be started."""

    error: AlexploreError | OSError


class PlanScreen(FrameScreen):
    """Shows the form of the planned run, and beside it the checks before it starts."""

    CSS_PATH = "plan.tcss"
    MODE: ClassVar[Mode | None] = "train"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5,ctrl+s", "start", "start", tooltip="Start the training that the form describes"),
        Binding("f", "fix", "fix", tooltip="Make the change that removes a problem"),
        Binding(
            "m", "measure", "measure time", tooltip="Time a few steps on random images, to estimate how long it takes"
        ),
        Binding("escape", "back", "back", show=False, tooltip="Go back to the form, and from there to the network"),
    ]

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self.state = state
        self._form: Form | None = None  # the form that the list shows
        self._checker = Checker()
        self._timer: Timer | None = None
        self._request: CheckRequest | None = None  # what is being checked
        self._idle: Timer | None = None
        self._measurement: SpeedMeasurement | None = None
        self._measuring_lock = Lock()  # of the next one and of `_measurement`
        self._measuring: RunConfig | None = None  # what is measured, also before its process has started
        self._measured: list[Measurable] = []  # what is being measured, was measured, or can't be measured
        self._starting = self._start_when_checked = False
        self._waiting: WaitingWorker | None = None  # for the run to be started
        self._importing = False  # whether it is not ready yet

    def compose_body(self) -> ComposeResult:
        """Put the form beside or above the checks, and the button below them."""
        with Container(id="plan"):
            yield SettingPane(id="recipe", classes="frame")
            yield CheckList(id="checks", classes="frame")
        yield StartButton()

    def on_mount(self) -> None:
        """Name the frame of the checks."""
        self.query_one(CheckList).border_title = "Before it starts"

    def on_screen_resume(self) -> None:
        """Show the form, also when a dialog on top closes; what was typed stays until another preset is opened."""
        planned, pane = self.state.planned, self.query_one(SettingPane)
        planned.refresh()
        if self._form is not planned.form:
            self._form = planned.form
            pane.edit(planned.form)
            self.query_one(CheckList).show((), ())
            self.query_one(StartButton).show("")
            self.call_after_refresh(self._unfold)
        else:
            pane.refresh_form()
        if self.focused is None:
            pane.focus()
        pane.border_title = Text(planned.title)
        self._check()
        self.set_timer(WAITING_SECONDS, self._start_waiting)

    def _unfold(self) -> None:
        """Show all groups of a new form on a terminal that is high enough."""
        pane = self.query_one(SettingPane)
        if self._form is not None and self._form.unfold_into(pane.list.size.height):
            pane.refresh_form()

    def on_screen_suspend(self) -> None:
        """Stop measuring for a form that is not on top; end the worker that waits, unless there is a dialog on top."""
        self._stop_measuring()
        self._start_when_checked = False
        if not isinstance(self.app.screen, ModalScreen):
            self._end_waiting()

    def on_unmount(self) -> None:
        """Stop measuring, and end the worker that waits."""
        self._stop_measuring()
        self._end_waiting()

    # The worker that waits while the form is open: it checks what only PyTorch can tell, and trains without an import

    def _start_waiting(self) -> None:
        if self._waiting is None and self.is_current and not self._starting:
            with suppress(OSError):  # then the run's own worker reports the error
                self._waiting = WaitingWorker()
                self._importing = True
                self._wait_for_import(self._waiting)

    @work(thread=True, group="import")
    def _wait_for_import(self, worker: WaitingWorker) -> None:
        worker.wait_until_ready()  # one that has exited finds no problems, and the run is started without it
        self.post_message(WorkerReady(worker))

    @on(WorkerReady)
    def _worker_ready(self, event: WorkerReady) -> None:
        """Check the run again, now with PyTorch."""
        if event.worker is self._waiting:
            self._importing = False
            self._check()

    def _end_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.end()
            self._waiting = None
            self._importing = False

    # Checks

    @on(SettingList.Changed)
    def _changed(self, event: SettingList.Changed) -> None:
        """Take over what was typed, and check it when there is a pause."""
        planned = self.state.planned
        if not event.name:
            planned.reset()
        planned.follow()
        if event.source.editing and self._start_when_checked:
            self._start_when_checked = False
            self.notify("not started: something else is typed", severity="warning")
        if event.name in ("dataset", "optimizer", "schedule", "random_crop", "") and not event.source.editing:
            self.query_one(SettingPane).refresh_form()
        self._check_soon()

    def _check_soon(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(CHECK_SECONDS, self._check)

    def _check(self) -> None:
        """Check what is typed; what can't be read is shown at once, the rest is looked up in a thread."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._request = self.state.planned.request()
        if self._request is None:
            self._start_when_checked = False
            self._show_result()
        else:
            self._look_up(self._request, None if self._importing else self._waiting)

    @work(thread=True, exclusive=True, group="check")
    def _look_up(self, request: CheckRequest, worker: WaitingWorker | None) -> None:
        try:
            result = self._checker.check(request, worker)
        except ACTIONABLE as error:  # such as a disk that is gone
            result = CheckResult((Check("wrong", "checks", error_text(error)),))
        self.post_message(Checked(request, result))

    @on(Checked)
    def _checked(self, event: Checked) -> None:
        if event.request is not self._request or not self.query(CheckList):
            return  # something else was typed since, or the screen is being closed
        self._request = None
        self.state.planned.take(event.result)
        self._show_result()
        if self._start_when_checked:
            self._start_when_checked = False
            self.action_start()

    def _show_result(self) -> None:
        planned = self.state.planned
        changes = [f"{title} {before} → {after}" for title, before, after in planned.changes]
        self.query_one(CheckList).show(planned.result.checks, (*planned.network_fixes, *changes))
        blocked = planned.blocked
        self.query_one(StartButton).show(blocked.text if blocked else "")
        pane = self.query_one(SettingPane)
        if (at_fault := planned.take_problem()) is not None:
            pane.select(at_fault)
        if not pane.list.finding:
            pane.refresh_form()
        pane.show_help()
        self.refresh_bindings()
        if not self._importing and (planned.result.speed is None or planned.result.speed.guessed):
            self._wait_to_measure()

    # The speed

    @property
    def _measurable(self) -> RunConfig | None:
        """The config whose speed can be measured; None if it is known, being measured, or can't be trained."""
        result, request = self.state.planned.result, self.state.planned.request()
        speed_known = result.speed is not None and result.speed.measured
        if speed_known or result.wrong or request is None or measurable(request.config) in self._measured:
            return None
        return request.config

    def _wait_to_measure(self) -> None:
        """Measure the speed when nothing was changed for a while, unless another training needs the machine."""
        if self._idle is not None:
            self._idle.stop()
        self._idle = self.set_timer(MEASURE_SECONDS, self._measure_if_idle)

    def action_measure(self) -> None:
        """Measure the speed now."""
        self._measure()

    @work(thread=True, exclusive=True, group="idle")
    def _measure_if_idle(self) -> None:
        """Measure the speed unless a run is being trained, which that would slow down."""
        try:
            busy = any(read_status(run).live for run in list_runs(self.state.runs_folder))
        except RunError:
            busy = False
        if not busy:
            self.app.call_from_thread(self._measure)

    def _measure(self) -> None:
        config = self._measurable
        if config is not None and self.is_current:
            self._stop_measuring()
            self._measured.append(measurable(config))
            self._measuring = config
            self._run_measurement(config)
            self.refresh_bindings()

    def _stop_measuring(self) -> None:
        if self._idle is not None:
            self._idle.stop()
        with self._measuring_lock:
            self._measuring = None
            if self._measurement is not None:
                self._measurement.stop()
                self._measurement = None

    @work(thread=True, group="measure")
    def _run_measurement(self, config: RunConfig) -> None:
        speed, stopped = None, False
        try:
            with SpeedMeasurement(config) as measurement:
                with self._measuring_lock:
                    stopped = self._measuring is not config  # before it began
                    if not stopped:
                        self._measurement = measurement
                for speed in () if stopped else measurement:
                    self.post_message(SpeedMeasured(config, speed, done=False))
            stopped = self._measuring is not config
        except AlexploreError as error:
            self.notify(str(error), severity="warning")
        self.post_message(SpeedMeasured(config, speed, done=True, stopped=stopped))

    @on(SpeedMeasured)
    def _speed_measured(self, event: SpeedMeasured) -> None:
        """Show the time by the speed so far; what was stopped before its first step can be measured again."""
        if event.images_per_second is not None:
            source = "measured on this machine" if event.done else "measuring …"
            self._checker.take_speed(event.config, Speed(event.images_per_second, source, measured=True))
            self._check()
        elif event.stopped:
            self._measured.remove(measurable(event.config))
        elif self.is_current:
            self.notify("the speed can't be measured: the network did not train", severity="warning")

    # Problems

    @property
    def _problem(self) -> Check | None:
        """The problem under the cursor if the checks have the focus, else the first one that can be fixed."""
        if self._request is not None:
            return None  # the fixes are for the network and settings of the last check
        checks = self.query_one(CheckList)
        if checks.has_focus and checks.check is not None and checks.check.fix is not None:
            return checks.check
        return next((check for check in self.state.planned.result.wrong if check.fix is not None), None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enable the fix only if there is one; its key stays bound without one, so that it never starts an edit."""
        if action == "fix" and not (self.is_mounted and self._problem is not None):
            return None
        if action == "measure":
            return self.is_mounted and self._request is None and self._measurable is not None
        return True

    def action_fix(self) -> None:
        """Make the change that removes a problem."""
        problem = self._problem
        if problem is not None and problem.fix is not None:
            self.state.planned.fix(problem.fix)
            self.query_one(SettingPane).refresh_form()
            self.notify(f"{problem.fix.text}: for this run; ctrl+r takes every change back")
            self._check()

    @on(CursorList.Chosen, "#checks")
    def _problem_chosen(self) -> None:
        check = self.query_one(CheckList).check
        if check is not None:
            self._go_to(check)

    def _go_to(self, check: Check) -> None:
        """Go to the setting that a check is about, or choose its folder."""
        pane = self.query_one(SettingPane)
        if not any(field.name == check.setting for field in self.state.planned.form.fields):
            return
        pane.focus()
        pane.select(check.setting)
        if self.state.planned.form.field(check.setting).opens and self.focused is pane.list:
            self._choose_value(check.setting)

    @on(SettingList.Opened)
    def _opened(self, event: SettingList.Opened) -> None:
        self._choose_value(event.name)

    @work
    async def _choose_value(self, name: str) -> None:
        """Choose the value of a setting in its dialog."""
        from alexplore.tui.screens.plan_dialogs import DIALOGS

        planned = self.state.planned
        chosen = await DIALOGS[name](self, planned)
        if chosen is not None:
            planned.form.put(planned.form.field(name), chosen)
            self.query_one(SettingPane).refresh_form()
            self._check()

    # Starting and leaving

    @on(StartButton.Pressed)
    def action_start(self) -> None:
        """Start the planned run; if it can't be started, say why and go to the setting at fault."""
        pane, planned = self.query_one(SettingPane), self.state.planned
        if self._starting or not pane.list.end_edit():
            return
        if self._timer is not None:
            self._check()
        self._start_waiting()
        if self._request is not None:
            self._start_when_checked = True
        elif planned.blocked is not None:
            self._say_why(planned.blocked)
        elif self._importing:
            self._start_when_checked = True
            self.notify("starts as soon as PyTorch is imported, which checks the devices first")
        else:
            request = planned.request()
            if request is not None:
                self._starting = True
                waiting, self._waiting = self._waiting, None  # the form is left before the run has started
                self._start(request, waiting)

    def _say_why(self, check: Check) -> None:
        self.notify(check.text, title="Not started", severity="error")
        pane = self.query_one(SettingPane)
        if any(field.name == check.setting for field in self.state.planned.form.fields):
            pane.focus()
            pane.select(check.setting)

    @work(thread=True, group="start")
    def _start(self, request: CheckRequest, waiting: WaitingWorker | None) -> None:
        try:
            run = self.state.planned.create(request)
        except ACTIONABLE as error:
            self.post_message(Refused(error))
            if waiting is not None:
                waiting.end()
            return
        self.post_message(Created(run))
        try:
            service.start(run, waiting=waiting)
        except AlexploreError as error:
            self.notify(str(error), title="Not started", severity="error")

    @on(Created)
    def _created(self, event: Created) -> None:
        self._starting = False
        self.state.planned.mark_created()
        self.post_message(WatchRequested(event.run))

    @on(Refused)
    def _refused(self, event: Refused) -> None:
        self._starting = False
        self._start_waiting()
        self.state.planned.refuse(event.error)
        self._show_result()
        if self.state.planned.blocked is not None:
            self._say_why(self.state.planned.blocked)

    @on(SettingList.Cancelled)
    def _leave(self) -> None:
        self.post_message(ModeRequested(self.state.close_form()))

    def action_back(self) -> None:
        """Go from the checks back to the form."""
        self.query_one(SettingPane).focus()
