"""Fixtures that open the app."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual import _wait
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.pilot import Pilot

from alexplore.presets.library import load_preset
from alexplore.runs.config import RunConfig
from alexplore.runs.launch import WaitingWorker
from alexplore.runs.speed import SpeedMeasurement
from alexplore.tui.app import ExploreApp

IDLE_LOOK = (
    1 / 250
)  # seconds for which a pilot looks whether the app is idle; Textual's own 1/50 takes most of a test's time

OpenApp = Callable[..., AbstractAsyncContextManager[tuple[ExploreApp, Pilot[None]]]]


@pytest.fixture(autouse=True)
def quick_pilot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pilots find out sooner that an app is idle."""
    monkeypatch.setattr(_wait, "SLEEP_GRANULARITY", IDLE_LOOK)
    monkeypatch.setattr(_wait, "SLEEP_IDLE", IDLE_LOOK / 20)


@pytest.fixture(autouse=True, scope="session")
def styles_parsed_once() -> Iterator[None]:
    """Parse each style sheet once for all tests, not at the start of each of hundreds of apps."""
    parse, parsed = Stylesheet._parse_rules, dict[tuple[Any, ...], list[RuleSet]]()

    def parse_once(sheet: Stylesheet, css: str, read_from: Any, *options: Any, **named: Any) -> list[RuleSet]:
        key = (css, read_from, options, *named.items(), *sheet._variables.items())
        if key not in parsed:
            parsed[key] = parse(sheet, css, read_from, *options, **named)
        return parsed[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", parse_once)
        yield


@pytest.fixture(autouse=True)
def no_preparation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each screen be made when it is opened: most tests are about one of them."""
    monkeypatch.setattr("alexplore.tui.app.PREPARE_SECONDS", 10_000.0)


class NoMeasurement(SpeedMeasurement):
    """Measures nothing: no test waits for a process that is not what it is about."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config

    def __iter__(self) -> Iterator[float]:
        """Yield nothing."""
        return iter(())

    def stop(self) -> None:
        """Do nothing."""

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


@pytest.fixture(autouse=True)
def no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the form measure nothing, and nothing by itself."""
    monkeypatch.setattr("alexplore.tui.screens.plan.SpeedMeasurement", NoMeasurement)
    monkeypatch.setattr("alexplore.tui.screens.plan.MEASURE_SECONDS", 10_000.0)


@pytest.fixture(autouse=True)
def no_waiting_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no worker wait while a form is open: it would import torch in every test."""

    def refuse() -> WaitingWorker:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr("alexplore.tui.screens.plan.WaitingWorker", refuse)


@pytest.fixture
def open_app(tmp_path: Path) -> OpenApp:
    """Return what opens the app without a terminal and yields it with its pilot; `notifications` are off by default."""

    @asynccontextmanager
    async def run(
        preset: str = "paper", size: tuple[int, int] = (120, 40), *, notifications: bool = False
    ) -> AsyncIterator[tuple[ExploreApp, Pilot[None]]]:
        app = ExploreApp(load_preset(preset), tmp_path / "runs")
        async with app.run_test(size=size, notifications=notifications) as pilot:
            await pilot.pause()
            yield app, pilot

    return run
