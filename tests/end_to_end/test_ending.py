"""What the terminal is like when the app opens, and when it is ended from outside."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.terminal import Terminal
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path, 100, 30)
    yield opened
    opened.close()


@pytest.fixture
def command(tmp_path: Path) -> str:
    """alexplore in the terminal's shell, with the test's own folders, and with its process in the file `pid`."""
    names = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "ALEXPLORE_RUNS", "TEXTUAL_ANIMATIONS")
    variables = " ".join(f"{name}={os.environ[name]}" for name in names)
    return f"{variables} sh -c 'echo $$ > {tmp_path / 'pid'}; exec {sys.executable} -m alexplore'"


def modes(tmp_path: Path) -> str:
    """Return whether the terminal shows its second screen and reports the mouse."""
    shown = "#{alternate_on} #{mouse_any_flag} #{mouse_sgr_flag}"
    command = ["tmux", "-f", "/dev/null", "-S", str(tmp_path / "tmux"), "display", "-p", "-t", "t", shown]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_sigterm_restores_the_terminal(terminal: Terminal, command: str, tmp_path: Path) -> None:
    terminal.type(f"{command}; echo left with $?\n")
    terminal.wait_for("This machine")  # the welcome card, for those who have no runs
    assert modes(tmp_path) == "1 1 1"
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
    terminal.wait_for(rf"left with {128 + signal.SIGTERM}\b")
    assert modes(tmp_path) == "0 0 0"
    assert "Traceback" not in terminal.text()
    terminal.type("echo typed\n")
    terminal.wait_for("(?m)^typed")


def test_a_terminal_that_closes_ends_the_app(terminal: Terminal, command: str, tmp_path: Path) -> None:
    terminal.type(f"{command}\n")
    terminal.wait_for("This machine")
    pid = int((tmp_path / "pid").read_text())
    terminal.close()
    wait_until(lambda: not psutil.pid_exists(pid), "the end of the app")


def test_the_app_ends_with_a_terminal_that_sends_it_no_signal(tmp_path: Path) -> None:
    """As it happens to a process outside of the terminal's session."""
    ours, its = os.openpty()
    command = [sys.executable, "-m", "alexplore"]
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, start_new_session=True)
    os.close(its)
    try:
        shown = b""
        while b"This machine" not in shown:
            shown += os.read(ours, 65536)
        os.close(ours)
        wait_until(lambda: process.poll() is not None, "the end of the app")
    finally:
        process.kill()
    assert process.wait() == -signal.SIGHUP


def test_an_exported_size_does_not_fool_the_app(terminal: Terminal, command: str) -> None:
    terminal.type(f"export COLUMNS=237 LINES=71; {command}\n")
    terminal.wait_for("This machine")
    terminal.press("Escape")
    terminal.wait_for(r"q quit\s*\Z")
    lines = terminal.text().rstrip("\n").splitlines()
    assert len(lines) == 30
    assert lines[0].startswith(" alexplore")
    wait_until(lambda: max(map(len, terminal.text().splitlines())) <= 100, "the terminal's own width")
