"""How much the app writes to the terminal: users sit behind slow lines."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.terminal import Terminal
from tests.support.waiting import PATIENCE

MOST_BYTES = 2000  # for a key that only moves the cursor
QUIET_SECONDS = 0.3  # without output for so long, a key is answered
DOWN = b"\x1b[B"
SMALLEST_SCREEN = 5000  # bytes of the first screen

pytestmark = pytest.mark.usefixtures("heavy")


class Line:
    """The app on a pseudo-terminal of 120 columns and 40 lines."""

    def __init__(self, folder: Path, preset: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        removed = ("COLUMNS", "LINES", "NO_COLOR", "TEXTUAL_COLOR_SYSTEM")
        environment = {name: value for name, value in os.environ.items() if name not in removed}
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "XDG_CONFIG_HOME": str(folder)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "alexplore", "tui", "--preset", preset, "--runs-dir", str(folder / "runs")],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        self.read(SMALLEST_SCREEN)

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

    def press(self, key: bytes) -> bytes:
        """Press a key; return what the app writes."""
        os.write(self._master, key)
        return self.read()

    def close(self) -> None:
        """End the app."""
        self._process.kill()
        self._process.wait()
        os.close(self._master)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path, "paper")
    yield line
    line.close()


def test_an_arrow_key_in_the_layer_table_writes_little(line: Line) -> None:
    """The first ten keys only move the cursor; with the others, layers scroll into view."""
    counts = [len(line.press(DOWN)) for _ in range(18)]
    assert max(counts) <= MOST_BYTES, counts


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
