"""Inside: its state and lines without a screen, and the screen's keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alexplore.core.picture import Picture
from alexplore.core.processes import CommandError
from alexplore.render.predictions import bars
from alexplore.runs.config import RunConfig
from alexplore.runs.curves import Curve
from alexplore.runs.directory import RunDirectory
from alexplore.runs.inside import Quantised, inside_file, load_epoch, save_epoch
from alexplore.runs.look import Look
from alexplore.runs.look_request import LookRequest
from alexplore.runs.watch import Watch
from alexplore.tui.app import ExploreApp
from alexplore.tui.inside_lines import drawn, listed, looked, sparkline
from alexplore.tui.inside_state import MOST_PAST, VIEWS, InsideReader, InsideState, absence, spread
from alexplore.tui.screens.browse import Browse
from alexplore.tui.screens.inside import InsideList, InsideScreen
from alexplore.tui.screens.watch import WatchScreen
from alexplore.tui.widgets.curves import Curves
from docs.demo_runs import DemoRuns, demo_epoch
from tests.support.runs import finished_run
from tests.support.screens import screen_text, until
from tests.tui.conftest import OpenApp


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A finished run of three epochs of 20 steps."""
    return DemoRuns(tmp_path / "runs").write("demo", "finished", 60, age=500.0)


@pytest.fixture
def state(run: RunDirectory) -> Iterator[InsideState]:
    state = InsideState(run)
    assert state.take(InsideReader(run).read())
    state.show(3, load_epoch(run, 3))
    yield state


def texts(state: InsideState, selected: int = 0, width: int = 70, height: int = 30) -> list[str]:
    return ["".join(text for text, _ in line) for line in drawn(state, selected, width, height).lines]


# The scrubber


def test_the_scrubber_follows_at_the_newest_epoch_and_stays_elsewhere(run: RunDirectory, state: InsideState) -> None:
    assert (state.epoch, state.follows) == (3, True)
    assert state.scrub(-1)
    assert (state.epoch, state.follows) == (2, False)
    assert state.scrub(-9)
    assert state.epoch == 1
    save_epoch(run, demo_epoch(4, 80))
    reading = InsideReader(run).read()
    state.take(reading)
    assert state.epoch == 1
    assert state.scrub(9)
    assert (state.epoch, state.follows) == (4, True)
    save_epoch(run, demo_epoch(5, 100))
    assert state.take(InsideReader(run).read())
    assert state.epoch == 5
    assert not state.scrub(1)


def test_an_epoch_that_is_gone_gives_way_to_the_newest(run: RunDirectory, state: InsideState) -> None:
    state.scrub(-1)
    inside_file(run, 2).unlink()
    assert state.take(InsideReader(run).read()) is False  # the third was loaded before
    assert state.epoch == 3


def test_an_epoch_that_was_loaded_late_is_not_shown(run: RunDirectory, state: InsideState) -> None:
    state.scrub(-1)
    state.scrub(-1)
    state.show(2, load_epoch(run, 2))
    assert state.shown is not None
    assert state.shown.epoch == 3
    state.show(1, load_epoch(run, 1))
    assert state.shown.epoch == 1


def test_the_scrubber_says_what_was_measured_after_the_epoch(state: InsideState) -> None:
    """As `DemoRuns` writes it: train/loss is 2.3 / √step + 0.02·(step mod 3), val/loss 0.9 of that."""
    state.scrub(-1)
    text = state.scrub_text(78)
    loss = 0.9 * (2.3 / 40**0.5 + 0.02 * (40 % 3))
    assert f"epoch 2 · val/loss {loss:.3f}" in text
    assert len(text) <= 78
    line = text.split("  ")[0]
    assert line.index("●") == pytest.approx(len(line) / 2, abs=1)


def test_of_many_epochs_some_are_chosen_evenly() -> None:
    chosen = spread(range(1, 1001), MOST_PAST)
    assert (len(chosen), chosen[0], chosen[-1]) == (MOST_PAST, 1, 1000)
    gaps = np.diff(chosen)
    assert gaps.max() - gaps.min() <= 1


# What is read


def test_a_damaged_file_shows_its_reason_and_the_others_stay(run: RunDirectory, state: InsideState) -> None:
    inside_file(run, 2).write_bytes(b"nothing of ours")
    reading = InsideReader(run).read()
    assert set(reading.past) == {1, 3}
    assert str(inside_file(run, 2)) in reading.problems[2]
    state.take(reading)
    state.scrub(-1)
    state.show(2, None, reading.problems[2])
    for view in VIEWS:
        state.view = view
        assert "epoch-0002" in "".join(texts(state))


def test_after_a_damaged_newest_epoch_the_next_one_is_shown(run: RunDirectory, state: InsideState) -> None:
    state.show(3, None, "damaged")
    assert not state.take(InsideReader(run).read())
    save_epoch(run, demo_epoch(4, 80))
    assert state.take(InsideReader(run).read())
    state.show(4, load_epoch(run, 4))
    assert not state.problem


def test_a_reader_reads_each_file_once_and_returns_the_same_without_news(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def counted(run: RunDirectory, epoch: int) -> object:
        read.append(epoch)
        return load_epoch(run, epoch)

    monkeypatch.setattr("alexplore.tui.inside_state.load_epoch", counted)
    reader = InsideReader(run)
    first = reader.read()
    assert reader.read() is first
    assert read == [1, 2, 3]


def test_a_run_without_records_says_how_to_get_them(config: RunConfig, tmp_path: Path) -> None:
    run = finished_run(config, tmp_path / "runs", "plain", 0.5)
    assert "inside = true" in absence(Watch(run).poll())
    off = finished_run(replace(config, recipe=replace(config.recipe, inside=False)), tmp_path / "runs", "without", 0.5)
    assert "its recipe has inside = false; train with inside = true" in absence(Watch(off).poll())


# The views


def test_suspicious_layers_are_marked_with_a_glyph_and_the_reason(run: RunDirectory, state: InsideState) -> None:
    epoch = demo_epoch(3, 60)
    state.show(3, replace(epoch, figures={**epoch.figures, "grad_norm/conv1": 0.0}))
    shown = listed(state, 76)
    (marked,) = [row for row in shown.rows if "▲" in row.text]
    assert marked.text.split()[:2] == ["▲", "conv1"]
    assert marked.kind == "careful"
    assert "it gets no gradient" in marked.copied
    assert shown.title == "layers · 1 suspicious"
    assert "▲ it gets no gradient" in texts(state)[0]
    assert all(len(row.text) <= 76 for row in shown.rows)


def test_the_newest_figures_are_those_of_the_last_step(state: InsideState) -> None:
    """While an epoch is trained; an earlier epoch shows those that were recorded with it."""
    assert state.reading is not None
    curve = Curve([1.0, 2.0, 3.0, 3.5], [0.1, 0.2, 0.3, 0.7], [0.0] * 4)
    snapshot = replace(state.reading.snapshot, curves={"grad_norm/conv1": curve})
    state.reading = replace(state.reading, snapshot=snapshot)
    assert next(view for view in state.layers() if view.layer == "conv1").grad_norm == 0.7
    assert state.figures("grad_norm", "conv1") == [0.1, 0.2, 0.3, 0.7]
    state.scrub(-1)
    state.show(2, demo_epoch(2, 40))
    assert next(view for view in state.layers() if view.layer == "conv1").grad_norm == 0.3
    assert state.figures("grad_norm", "conv1") == [0.1, 0.2]


def test_a_story_goes_up_to_the_epoch(state: InsideState) -> None:
    assert [epoch for epoch, _ in state.past("conv1")] == [1, 2, 3]
    state.scrub(-1)
    assert [epoch for epoch, _ in state.past("conv1")] == [1, 2]


def test_the_matrix_is_numbers_where_there_is_room_and_a_picture_elsewhere(state: InsideState) -> None:
    state.view = "confusion"
    lines = texts(state)
    assert lines[7].split()[:2] == ["6", "Shirt"]
    assert "[6]" in lines[7]  # the most frequent pair, 2 + 12 // 3 images
    assert lines[1].split()[2] == "82"
    assert not any(character.isdigit() for line in texts(state, width=30) for character in line)
    assert texts(state, width=150)[0].split()[:3] == ["T-shirt/top", "Trouser", "Pullover"]
    assert texts(state, width=150)[7].startswith("Shirt")
    first = listed(state, 40).rows[0]
    assert first.text.split() == ["Shirt", "→", "T-shirt/top", "6", "of", "104"]


def test_a_narrow_matrix_is_in_percent_and_a_narrower_one_a_picture(state: InsideState) -> None:
    state.view = "confusion"
    assert state.shown is not None
    assert state.confusion is not None
    counts, images = 10 * state.confusion.counts, tuple(10 * count for count in state.confusion.images)
    state.shown = replace(state.shown, confusion=replace(state.confusion, counts=counts, images=images))
    assert texts(state)[1].split()[2] == "820"
    narrow = texts(state, 0, 49, 18)
    assert narrow[1].split()[2] == f"{820 / images[0]:.0%}".removesuffix("%")
    assert "in %" in " ".join(narrow)
    assert "blue: right, red: wrong" in " ".join(texts(state, 0, 40, 18))


def test_tiles_are_arranged_so_that_a_whole_factor_enlarges_them(state: InsideState) -> None:
    """Sixteen kernels of 5×5 in 78×40 pixels: in rows of six they are drawn twice as large, (6·5 + 5)·2 = 70 wide."""
    state.view = "kernels"
    assert max(map(len, texts(state, 0, 78, 20))) == 70


def test_the_longest_bar_fits() -> None:
    names = [("T-shirt/top", 1.0), ("Bag", 0.5)]
    for width in (26, 40, 200):
        lines = bars(names, width)
        assert max(map(len, lines)) <= width
        long, short = (line.count("█") for line in lines)
        assert (long > 0, short) == (True, round(long / 2))


def test_a_mistake_has_its_truth_and_its_guesses(state: InsideState) -> None:
    state.view = "mistakes"
    lines = texts(state, selected=1)
    assert "truth Shirt · loss 5.40" in lines
    assert any(line.split()[:2] == ["Pullover", "88.0%"] for line in lines)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("size", [(1, 1), (8, 3), (30, 10), (200, 60)])
def test_every_view_fits_its_room(state: InsideState, view: str, size: tuple[int, int]) -> None:
    width, height = size
    state.view = view
    for line in listed(state, max(10, width)).rows[:3]:
        assert line.text
    if width >= 30:
        assert all(len(text) <= width for text in texts(state, 0, width, height))
    assert drawn(state, 99, width, height) is not None  # a line that is gone


def test_a_sparkline_goes_from_the_smallest_to_the_largest_value() -> None:
    assert sparkline([1, 2, 3, 8], 8) == "▁▂▃█"
    assert sparkline([1, 1, 5, 5, nan], 2) == "▁█"
    assert sparkline([], 3) == "   "


# The screen


def shows(app: ExploreApp, text: str) -> bool:
    return text in screen_text(app)


async def test_keys_turn_the_views_and_the_scrubber_moves_the_cursor_of_the_curves(
    open_app: OpenApp, run: RunDirectory
) -> None:
    async with open_app(size=(80, 24)) as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "epoch 3/3" in screen_text(app), "the run")
        await pilot.press("v")
        await until(pilot, lambda: "epoch 3 · newest" in screen_text(app), "the newest epoch")
        await until(pilot, lambda: "conv1" in screen_text(app), "the layers")
        await pilot.press("left")
        await until(pilot, lambda: "epoch 2 · val/loss" in screen_text(app), "the epoch before")
        for text in ("16 of 16 kernels of 1×5×5", "12 of 16 maps of 28×28", "most confused", "truth Shirt"):
            await pilot.press("v")
            await until(pilot, partial(shows, app, text), text)
        await pilot.press("down")
        assert app.screen.query_one(InsideList).cursor == 1
        await pilot.press("V", "v")
        await until(pilot, lambda: "loss 5.40" in screen_text(app), "the second mistake again")
        await pilot.press("escape")
        assert isinstance(app.screen, WatchScreen)
        await until(pilot, lambda: app.screen.query_one("#loss", Curves).view.x == 2, "the cursor at the epoch")
        await pilot.press("v")
        await until(pilot, lambda: "epoch 2 · val/loss" in screen_text(app), "the same epoch")
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "epoch 3 · newest" in screen_text(app), "the newest epoch")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.query_one("#loss", Curves).view.x is None, "no cursor")


async def test_keys_select_a_unit_of_the_maps_and_the_pixels_that_it_sees_are_named(
    open_app: OpenApp, run: RunDirectory
) -> None:
    """conv2 of the demo is fmnist-28's: 13×13 units, each of which sees 14×14 pixels, 2 apart."""
    async with open_app(size=(80, 24)) as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "epoch 3/3" in screen_text(app), "the run")
        await pilot.press("v")
        await until(pilot, lambda: "epoch 3 · newest" in screen_text(app), "the newest epoch")
        await pilot.press("u")
        await until(pilot, lambda: "rows 14 to 15" in screen_text(app) and "sees rows" in screen_text(app), "conv1's")
        await pilot.press("escape", "down", "down", "down", "u")
        await until(pilot, lambda: "map 0 · row 6, column 6" in screen_text(app), "the middle")
        await pilot.press("m", "up", "right", "right")
        await until(pilot, lambda: "map 1 · row 5, column 8" in screen_text(app), "another unit")
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "epoch 2 · val/loss" in screen_text(app), "the epoch before")
        assert "map 1 · row 5, column 8" in screen_text(app)
        assert "↑↓←→ unit" in screen_text(app)
        assert "←→ epoch" not in screen_text(app)  # for as long as the arrows move the unit
        await pilot.press("escape")
        await until(pilot, lambda: "←→ epoch" in screen_text(app), "the keys without a unit")
        await until(pilot, lambda: "12 of 32 maps" in screen_text(app), "all maps")
        assert isinstance(app.screen, InsideScreen)


async def test_an_epoch_that_comes_is_shown_and_a_damaged_one_says_so(
    open_app: OpenApp, run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alexplore.tui.screens.inside.POLL_SECONDS", 0.1)
    async with open_app(size=(120, 40)) as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "epoch 3/3" in screen_text(app), "the run")
        await pilot.press("v")
        await until(pilot, lambda: "epoch 3 · newest" in screen_text(app), "the newest epoch")
        save_epoch(run, demo_epoch(4, 80))
        await until(pilot, lambda: "epoch 4 · newest" in screen_text(app), "the next one")
        inside_file(run, 2).write_bytes(b"{")
        await pilot.press("left", "left")
        await until(pilot, lambda: "damaged:" in screen_text(app), "what is wrong")
        await pilot.press("left")
        await until(pilot, lambda: "outputs" in screen_text(app) or "weights" in screen_text(app), "the first")


async def test_a_run_without_records_opens_inside_all_the_same(
    open_app: OpenApp, config: RunConfig, tmp_path: Path
) -> None:
    run = finished_run(config, tmp_path / "runs", "plain", 0.5)
    async with open_app(size=(120, 40)) as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "epoch 2/2" in screen_text(app), "the run")
        await pilot.press("v")
        await until(pilot, lambda: "inside = true" in screen_text(app), "how to get them")
        await pilot.press("left", "right", "v", "v", "down", "v", "v", "v", "0")
        assert isinstance(app.screen, InsideScreen)


# An image of one's own


def made_look(image: str = "shirt.png", **more: Any) -> Look:
    grey = Picture(2, 2, 1, bytes([0, 80, 160, 255]))
    maps = Quantised(np.zeros((3, 4, 4), np.uint8), np.zeros(3, np.float32), np.ones(3, np.float32))
    return Look(image, grey, (("Shirt", 0.75), ("Coat", 0.25)), None, "conv2", maps, **more)


def test_an_image_is_shown_with_its_classes_the_evidence_and_maps() -> None:
    heat = Picture(2, 2, 1, bytes([0, 0, 0, 255]))
    shown = looked(made_look(cam="Shirt", heat=heat), 90, 30)
    lines = ["".join(text for text, _ in line) for line in shown.lines]
    assert shown.title == "3 maps of 4×4 of conv2"
    assert any("Shirt   75.0%" in line for line in lines)
    assert any("evidence for Shirt" in line for line in lines)
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 90


@pytest.mark.parametrize("size", [(20, 5), (80, 24), (200, 60)])
def test_an_image_fits_its_room(size: tuple[int, int]) -> None:
    shown = looked(made_look(), *size)
    assert len(shown.lines) <= max(size[1], 5)


def test_the_layer_whose_maps_are_shown_is_the_selected_one(state: InsideState) -> None:
    assert state.mapped_layer(0) == "conv1"
    assert state.mapped_layer(1) is None  # an activation: those of the last convolution
    state.view = "maps"
    assert state.mapped_layer(0) == state.maps()[0].layer
    assert state.mapped_layer(999) is None
    state.view = "mistakes"
    assert state.mapped_layer(0) is None


async def test_a_key_opens_an_image_and_shows_what_the_network_makes_of_it(
    run: RunDirectory, tmp_path: Path, open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[LookRequest] = []

    def answer(source: Path, request: LookRequest) -> Look:
        assert source == run.path
        asked.append(request)
        if len(asked) == 1:
            raise CommandError("no weights yet", 1)
        return made_look(str(request.image))

    monkeypatch.setattr("alexplore.tui.screens.inside.look", answer)
    image = tmp_path / "shirt.png"
    async with open_app() as (app, pilot):
        app.watch_run(run)
        await until(pilot, lambda: "epoch 3/3" in screen_text(app), "the run")
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, InsideScreen) and shows(app, "conv1"), "the layers")
        for said in ("no weights yet", "shirt.png · 3 maps"):
            await pilot.press("i")
            await until(pilot, lambda: isinstance(app.screen, Browse), "the browser")
            app.screen.dismiss(image)
            await until(pilot, partial(shows, app, said), said)
        await pilot.press("u", "down")
        await until(pilot, partial(shows, app, "map 0 · row 3, column 2"), "a unit")
        await pilot.press("escape")
        await until(pilot, partial(shows, app, "shirt.png · 3 maps"), "all maps again")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, InsideScreen), "the layers again")
    assert asked == 2 * [LookRequest(image=str(image), layer="conv1", cam="guess")]
