"""How much the app writes to the terminal: users sit behind slow lines."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alexplore.render.terminal_pixels import ATTRIBUTES_QUESTION
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import create_run
from alexplore.runs.inside import KernelGrid, Quantised, load_epoch, recorded_epochs, save_epoch
from alexplore.runs.lines import LineWriter
from alexplore.runs.protocol import MetricsLine, metrics_record
from alexplore.runs.status import Status, worker_lock, write_status
from docs.demo_runs import DemoRuns
from tests.support.runs import finished_run
from tests.support.terminal import Terminal
from tests.support.waiting import PATIENCE

MOST_BYTES = 2000  # for a key that only moves the cursor
MOST_PICTURE_BYTES = 10_000  # for a key that shows a picture
QUIET_SECONDS = 0.3  # without output for so long, a key is answered
DOWN, LEFT, RIGHT = b"\x1b[B", b"\x1b[D", b"\x1b[C"
MOST_BYTES_A_SECOND = 1000  # while a run is watched
WARM_SECONDS, WATCHED_SECONDS = 3, 10  # after the first screen; the first curves are drawn more often
PREPARED_SECONDS = 2.0  # after the first screen, when the app is done with what it prepares for later keys
SMALLEST_SCREEN = 5000  # bytes of the first screen

pytestmark = pytest.mark.usefixtures("heavy")


class Line:
    """The app on a pseudo-terminal of 120 columns and 40 lines.

    With an `answer` its cells are 10×20 pixels, and it answers so when it is asked whether it draws pictures in pixels.
    """

    def __init__(self, folder: Path, *options: str, answer: bytes = b"") -> None:
        self._master, slave = pty.openpty()
        pixels = (1200, 800) if answer else (0, 0)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, *pixels))
        removed = ("COLUMNS", "LINES", "NO_COLOR", "TEXTUAL_COLOR_SYSTEM", "TMUX")
        environment = {name: value for name, value in os.environ.items() if name not in removed}
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "XDG_CONFIG_HOME": str(folder)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "alexplore", "tui", *options, "--runs-dir", str(folder / "runs")],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        if answer:
            asked = b""
            while ATTRIBUTES_QUESTION.encode() not in asked:
                asked += self.read()
            os.write(self._master, answer)
        self.read(SMALLEST_SCREEN)
        self.read_for(PREPARED_SECONDS)

    def read(self, least: int = 1) -> bytes:
        """Return what the app writes until it is quiet, `least` bytes or more."""
        written = b""
        while select.select([self._master], [], [], QUIET_SECONDS if len(written) >= least else PATIENCE)[0]:
            try:
                some = os.read(self._master, 1 << 16)
            except OSError:  # Linux's end of a terminal
                some = b""
            if not some:
                break
            written += some
        assert len(written) >= least, written
        return written

    def read_for(self, seconds: float) -> bytes:
        """Return what the app writes in so many seconds."""
        written, deadline = b"", time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._master], [], [], left)[0]:
                written += os.read(self._master, 1 << 16)
        return written

    def press(self, key: bytes) -> bytes:
        """Press a key; return what the app writes."""
        os.write(self._master, key)
        return self.read()

    def resize(self, rows: int, columns: int) -> bytes:
        """Make the terminal another size, with cells as before; return what the app writes."""
        size = struct.pack("HHHH", rows, columns, 10 * columns, 20 * rows)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
        os.kill(self._process.pid, signal.SIGWINCH)
        return self.read()

    def close(self) -> None:
        """End the app."""
        self._process.kill()
        self._process.wait()
        os.close(self._master)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path, "--preset", "paper")
    yield line
    line.close()


def test_an_arrow_key_in_the_layer_table_writes_little(line: Line) -> None:
    """The first ten keys only move the cursor; with the others, layers scroll into view."""
    counts = [len(line.press(DOWN)) for _ in range(18)]
    assert max(counts) <= MOST_BYTES, counts


def test_an_arrow_key_in_the_runs_and_in_their_curves_writes_little(config: RunConfig, tmp_path: Path) -> None:
    """Also where the details of another run are shown, and values are read from two curves."""
    for number in range(6):
        finished_run(config, tmp_path / "runs", f"run-{number}", 0.5 + number / 20)
    line = Line(tmp_path, "--preset", "lenet")
    try:
        for key in (b"3", b" ", DOWN, b" "):
            line.press(key)
        line.read_for(1.0)  # the curves of the marked runs, which are read meanwhile
        counts = [len(line.press(DOWN)) for _ in range(4)]
        line.press(b"\t")
        counts += [len(line.press(LEFT)) for _ in range(2)]
    finally:
        line.close()
    assert max(counts) <= MOST_BYTES, counts


KITTY, SIXEL = b"\x1b_Gi=31;OK\x1b\\\x1b[?62;c", b"\x1b[?62;4c"
"""What terminals answer that draw pictures in pixels."""


@pytest.mark.exhaustive
@pytest.mark.parametrize("answer", [b"", KITTY, SIXEL])
def test_a_picture_inside_a_run_writes_little(answer: bytes, tmp_path: Path) -> None:
    """Every view, other epochs and other lines of each, with 96 kernels and with feature maps of noise."""
    run = DemoRuns(tmp_path / "runs").write("seen", "finished", 60, age=500.0)
    draw = np.random.default_rng(0)
    for number in recorded_epochs(run):
        epoch = load_epoch(run, number)
        kernels = KernelGrid("conv1", Quantised.of(draw.normal(size=(96, 3, 11, 11)).astype(np.float32)), 2, 96)
        maps = tuple(
            replace(maps, maps=Quantised.of(draw.normal(size=maps.maps.codes.shape).astype(np.float32)))
            for maps in epoch.maps
        )
        save_epoch(run, replace(epoch, kernels=kernels, maps=maps))
    line = Line(tmp_path, "--run", "seen", answer=answer)
    try:
        line.read_for(1.0)
        counts = [len(line.press(b"v"))]
        for _ in range(5):
            counts += [len(line.press(key)) for key in (LEFT, RIGHT, b"v")]
        for _ in range(2):
            line.press(b"v")
        counts += [len(line.press(DOWN)) for _ in range(4)]
    finally:
        line.close()
    assert max(counts) <= MOST_PICTURE_BYTES, counts


def test_pictures_are_drawn_in_pixels_where_the_terminal_says_so_and_nothing_of_them_remains(tmp_path: Path) -> None:
    """In kitty's protocol, in which a picture stays until it is removed by its number."""
    pytest.importorskip("textual_image")
    DemoRuns(tmp_path / "runs").write("seen", "finished", 60, age=500.0)
    line = Line(tmp_path, "--run", "seen", answer=KITTY)
    written = b""
    try:
        for key in (b"v", b"v", LEFT, b"v", DOWN, b"?", b"?", b"v", b"v", b"v", b"v"):  # with the help over the maps
            written += line.press(key)
        written += line.resize(24, 80)
        written += line.press(b"q")
    finally:
        line.close()
    shown: list[set[bytes]] = [set()]
    for code in re.findall(rb"\x1b_G([^;\x1b]*)", written):
        values = dict(part.split(b"=") for part in code.split(b",") if part)
        if values.get(b"a") == b"T":
            shown.append(shown[-1] | {values[b"i"]})
        elif values.get(b"a") == b"d":
            shown.append(shown[-1] - {values[b"i"]})
    assert max(map(len, shown)) <= 2  # an image, and its maps below it
    assert len(set().union(*shown)) >= 5
    assert shown[-1] == set()


def test_watching_a_run_writes_little(config: RunConfig, tmp_path: Path) -> None:
    """A run that writes its metrics twice a second."""
    run = create_run(config, tmp_path / "runs", "watched")
    counts = []
    with worker_lock(run), LineWriter(run.metrics_file, attempt=0) as metrics:
        step = 0
        write_status(run, Status("running", updated=time.time()))
        line = Line(tmp_path, "--run", "watched")
        try:
            for second in range(WARM_SECONDS + WATCHED_SECONDS):
                for _ in range(2):
                    step += 1
                    values = {
                        "train/loss": 2.3 / step**0.5,
                        "train/acc": 1 - 0.9 / step**0.5,
                        "images_per_second": 900.0,
                    }
                    metrics.append(**metrics_record(MetricsLine(step, step / 20, values)))
                write_status(run, Status("running", step=step, epoch=step / 20, updated=time.time()))
                written = len(line.read_for(1.0))
                if second >= WARM_SECONDS:
                    counts.append(written)
        finally:
            line.close()
    assert sum(counts) / len(counts) <= MOST_BYTES_A_SECOND, counts
    assert sum(counts) > 0


@pytest.mark.exhaustive
@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_a_terminal_shows_the_same_as_after_writing_every_cell_again(tmp_path: Path) -> None:
    """After keys, dialogs, other screens and other sizes."""
    terminal = Terminal(tmp_path, 120, 40)
    try:
        command = f"env -u COLUMNS -u LINES {sys.executable} -m alexplore"
        terminal.type(f"{command} tui --preset paper --runs-dir {tmp_path / 'runs'}\n")
        terminal.wait_for("61.0M")
        keys = [
            *["Down"] * 14,
            *["x", "Enter", "Down", "Down", "Right", "Enter", "o", "Down", "Escape", "?", "Escape", "2", "Escape"],
        ]
        for place, key in enumerate(keys):
            terminal.press(key)
            if place == 16:
                terminal.resize(90, 30)
                terminal.resize(118, 39)
            if place % 5 == 4:
                before = terminal.cells()
                terminal.press("C-l")
                assert terminal.cells() == before, (place, key)
    finally:
        terminal.close()
