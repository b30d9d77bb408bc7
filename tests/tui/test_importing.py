"""Importing models in the app, in which a process of a few lines stands for the one that imports."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alexplore.core.settings import SettingError
from alexplore.presets.library import load_preset
from alexplore.presets.text import preset_text
from alexplore.tui import importing, opening
from alexplore.tui.commands import import_command
from alexplore.tui.importing import Request, import_model, read_request
from alexplore.tui.screens.dialogs import Ask
from alexplore.tui.screens.explore import ExploreScreen
from alexplore.tui.screens.plan import PlanScreen
from tests.support.screens import screen_text, until
from tests.tui.conftest import OpenApp


def test_the_size_of_images_may_follow_a_source() -> None:
    assert read_request(" net.py:Net(10) ") == Request("net.py:Net(10)")
    assert read_request("net.py:Net(a='x 3')  3x64x64") == Request("net.py:Net(a='x 3')", "3x64x64")
    assert read_request("~/net.py:Net 1×28×28") == Request(f"{Path.home()}/net.py:Net", "1×28×28")
    assert read_request("a model.onnx") == Request("a model.onnx")


@pytest.fixture
def asked(heavy: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let a process answer with LeNet for a source that ends with `Net`, and with an error for others."""
    seen: list[str] = []
    answer = {"preset": preset_text(load_preset("lenet")), "name": "Net", "warnings": ["odd is opaque"]}

    def command(source: str, *, input: tuple[int, int, int] | None) -> list[str]:
        seen.append(f"{source} {input}")
        printed = json.dumps(answer if source.endswith("Net") else {"error": f"{source}: no such file"})
        return [sys.executable, "-S", "-c", f"print({printed!r})"]

    monkeypatch.setattr(importing, "import_command", command)
    return seen


async def test_a_source_that_is_typed_in_the_palette_is_opened(open_app: OpenApp, asked: list[str]) -> None:
    async with open_app(size=(160, 40)) as (app, pilot):
        await pilot.press("ctrl+p", *"net.py:Net", "space", *"1x28x28")
        await until(pilot, lambda: "Import net.py:Net 1x28x28" in screen_text(app), "the command")
        await pilot.press("enter")
        await until(pilot, lambda: app.state.session.preset.name == "Net", "the model")
        assert asked == ["net.py:Net (1, 28, 28)"]
        assert app.state.session.network == load_preset("lenet").network
        await until(pilot, lambda: "imported Net: s saves it; odd is opaque" in screen_text(app), "the outcome")


async def test_a_source_is_asked_for_and_an_error_told(open_app: OpenApp, asked: list[str]) -> None:
    async with open_app(size=(160, 40)) as (app, pilot):
        before = app.state.session.preset
        assert import_command(app, "lenet") is None
        await app.run_action("import_model")
        await until(pilot, lambda: isinstance(app.screen, Ask), "the question")
        assert "torchvision:NAME" in screen_text(app)
        await pilot.press(*"other.py:Netz", "enter")
        await until(pilot, lambda: "other.py:Netz: no such file" in screen_text(app), "the error")
        assert app.state.session.preset == before


async def test_an_import_that_is_cancelled_ends_its_process(
    heavy: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
    command = [sys.executable, "-S", "-c", program, str(tmp_path / "started")]
    monkeypatch.setattr(importing, "import_command", lambda source, *, input: command)
    started = asyncio.create_subprocess_exec
    processes = []

    async def start(*arguments: str, **options: Any) -> asyncio.subprocess.Process:
        processes.append(await started(*arguments, **options))
        return processes[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    task = asyncio.create_task(import_model(Request("net.py:Net"), print))
    while not (tmp_path / "started").exists():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await processes[0].wait() == -9


async def test_a_size_that_is_none_is_refused() -> None:
    with pytest.raises(SettingError, match="input: found"):
        await import_model(Request("net.py:Net", "0x1x1"), print)


async def test_an_import_that_ends_while_a_dialog_is_open_waits_for_its_answer(
    open_app: OpenApp, asked: list[str]
) -> None:
    async with open_app(size=(160, 40)) as (app, pilot):
        app.run_worker(app.opener.import_model("net.py:Net"))
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, Ask), "the dialog")
        await pilot.press("ctrl+u", *"typed")
        await until(pilot, lambda: bool(asked), "the import")
        await asyncio.sleep(1)  # what would go wrong needs time
        assert isinstance(app.screen, Ask)
        assert "typed" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.state.session.preset.name == "Net", "the model")


async def test_an_import_that_ends_during_an_edit_opens_afterwards(open_app: OpenApp, asked: list[str]) -> None:
    async with open_app(size=(160, 40)) as (app, pilot):
        before = app.state.session.preset
        await pilot.press("enter")
        await until(pilot, lambda: app.state.session.editing, "the form of a layer")
        app.run_worker(app.opener.import_model("net.py:Net"))
        await until(pilot, lambda: "it opens in Explore once" in screen_text(app), "the notice")
        assert app.state.session.preset == before
        assert app.state.session.editing
        await pilot.press("escape")
        await until(pilot, lambda: app.state.session.preset.name == "Net", "the model")


async def test_an_import_that_ends_on_another_screen_opens_in_explore(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()

    async def finish(request: Request, report: Any) -> Any:
        await ended.wait()
        return replace(load_preset("lenet"), name="Net")

    monkeypatch.setattr(opening, "import_model", finish)
    async with open_app(size=(160, 40)) as (app, pilot):
        app.run_worker(app.opener.import_model("net.py:Net"))
        await until(pilot, lambda: "importing net.py:Net" in screen_text(app), "the start")
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the form")
        ended.set()
        await until(pilot, lambda: "it opens in Explore once" in screen_text(app), "the notice")
        assert isinstance(app.screen, PlanScreen)
        await pilot.press("alt+1")
        await until(pilot, lambda: app.state.session.preset.name == "Net", "the model")
        ended.clear()
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the form")
        app.run_worker(app.opener.import_model("net.py:Net"))
        await until(pilot, lambda: screen_text(app).count("importing net.py:Net"), "the start")
        ended.set()
        await until(pilot, lambda: isinstance(app.screen, ExploreScreen), "Explore, as it was asked for there")
