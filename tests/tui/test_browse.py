"""The browser of folders and files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event

import pytest
from textual.app import App
from textual.pilot import Pilot

from alexplore.runs.data.image_layout import SUFFIXES
from alexplore.tui.folders import entries
from alexplore.tui.palette import app_colours
from alexplore.tui.screens.browse import Browse, PathInput
from tests.support.screens import screen_text, until


class BrowserApp(App[None]):
    """An app that asks for a folder or a file, and keeps the answers."""

    def __init__(self, browse: Browse) -> None:
        super().__init__()
        self.browse = browse
        self.answers: list[Path | None] = []

    def get_css_variables(self) -> dict[str, str]:
        variables = super().get_css_variables()
        return variables | app_colours(variables)

    def on_mount(self) -> None:
        self.push_screen(self.browse, self.answers.append)


@asynccontextmanager
async def opened(browse: Browse) -> AsyncIterator[tuple[BrowserApp, Pilot[None]]]:
    app = BrowserApp(browse)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "../" in screen_text(app), "the list")
        yield app, pilot


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folders with a picture and a text."""
    (tmp_path / "pictures" / "old").mkdir(parents=True)
    (tmp_path / "pictures" / "shirt.png").write_bytes(b"12345")
    (tmp_path / "pictures" / "notes.txt").write_text("")
    return tmp_path


async def test_a_folder_is_taken_with_enter(folder: Path) -> None:
    async with opened(Browse("Folder", str(folder))) as (app, pilot):
        await until(pilot, lambda: "take this folder  1 folder, 0 pictures" in screen_text(app), "the folder")
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: "1 folder, 1 picture" in screen_text(app), "the folder in it")
        assert "shirt.png" not in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.answers == [folder / "pictures"], "the answer")


async def test_left_goes_up_and_escape_takes_nothing(folder: Path) -> None:
    async with opened(Browse("Folder", str(folder / "pictures"))) as (app, pilot):
        await until(pilot, lambda: "old/" in screen_text(app), "the folder")
        await pilot.press("left")
        await until(pilot, lambda: "pictures/" in screen_text(app).split("../")[1], "the folder above")
        await pilot.press("escape")
        await until(pilot, lambda: app.answers == [None], "the answer")


async def test_a_file_is_chosen(folder: Path) -> None:
    async with opened(Browse("Picture", str(folder / "pictures"), SUFFIXES)) as (app, pilot):
        await until(pilot, lambda: "shirt.png  5 B" in screen_text(app), "the picture")
        assert "notes.txt" not in screen_text(app)
        assert "take this folder" not in screen_text(app)
        await pilot.press("end", "enter")
        await until(pilot, lambda: app.answers == [folder / "pictures" / "shirt.png"], "the answer")


@pytest.mark.parametrize(("suffixes", "message"), [(None, "is not a folder"), (SUFFIXES, "there is no file")])
async def test_a_path_that_leads_nowhere_is_refused(
    folder: Path, suffixes: frozenset[str] | None, message: str
) -> None:
    async with opened(Browse("Choose", str(folder), suffixes)) as (app, pilot):
        await pilot.press("slash", *"nowhere", "enter")
        await until(pilot, lambda: message in screen_text(app), "the refusal")
        assert app.answers == []


async def test_a_path_that_no_file_can_have_is_refused(folder: Path) -> None:
    """Looking it up fails with an error of its own: the name is too long."""
    async with opened(Browse("Choose", str(folder))) as (app, pilot):
        await pilot.press("slash")
        app.screen.query_one(PathInput).value = f"{folder}/{'x' * 300}"
        await pilot.press("enter")
        await until(pilot, lambda: "is not a folder" in screen_text(app), "the refusal")
        await pilot.press("escape")
        await until(pilot, lambda: app.answers == [None], "the answer")
    async with opened(Browse("Choose", f"{folder}/{'x' * 300}")) as (app, pilot):
        await until(pilot, lambda: "pictures/" in screen_text(app), "the folder above")


async def test_a_start_that_does_not_exist_begins_at_the_nearest_folder_above(folder: Path) -> None:
    async with opened(Browse("Folder", str(folder / "gone" / "deeper"))) as (app, pilot):
        await until(pilot, lambda: "pictures/" in screen_text(app), "the folder")
        await pilot.press("enter")
        await until(pilot, lambda: app.answers == [folder], "the answer")


async def test_typing_lists_what_the_path_may_become(folder: Path) -> None:
    async with opened(Browse("Picture", str(folder / "pictures"), SUFFIXES)) as (app, pilot):
        await until(pilot, lambda: "shirt.png" in screen_text(app), "the picture")
        await pilot.press("slash", *"SHI")
        await until(pilot, lambda: "old/" not in screen_text(app), "only what contains the letters")
        assert "shirt.png  5 B" in screen_text(app)
        await pilot.press("backspace", "backspace", "backspace")
        await until(pilot, lambda: "old/" in screen_text(app), "all entries again")


async def test_a_folder_that_is_not_read_yet_is_not_called_empty(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readable = Event()
    monkeypatch.setattr("alexplore.tui.screens.browse.entries", lambda *given: (readable.wait(), entries(*given))[1])
    async with opened(Browse("Image", str(folder / "pictures" / "old"), SUFFIXES)) as (app, pilot):
        assert "reading …" in screen_text(app)
        readable.set()
        await until(pilot, lambda: "no such files here" in screen_text(app), "what is there")
