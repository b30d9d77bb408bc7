"""How much the app writes to the terminal: users sit behind slow lines."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from alexplore.runs.config import RunConfig
from tests.support.runs import finished_run
from tests.support.waiting import PATIENCE

MOST_BYTES = 2000  # for a key that only moves the cursor
QUIET_SECONDS = 0.3  # without output for so long, a key is answered
DOWN, LEFT = b"\x1b[B", b"\x1b[D"
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


def test_an_arrow_key_in_the_runs_and_in_their_curves_writes_little(config: RunConfig, tmp_path: Path) -> None:
    """Also where the details of another run are shown, and values are read from two curves."""
    for number in range(6):
        finished_run(config, tmp_path / "runs", f"run-{number}", 0.5 + number / 20)
    line = Line(tmp_path, "lenet")
    try:
        for key in (b"3", b" ", DOWN, b" "):
            line.press(key)
        counts = [len(line.press(DOWN)) for _ in range(4)]
        line.press(b"\t")
        counts += [len(line.press(LEFT)) for _ in range(2)]
    finally:
        line.close()
    assert max(counts) <= MOST_BYTES, counts
