"""A real terminal, in tmux."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

from tests.support.small_terminal import SmallTerminal
from tests.support.waiting import wait_until


class Terminal:
    """A tmux session with one window that runs a shell."""

    def __init__(self, folder: Path, columns: int, rows: int) -> None:
        self._tmux = ["tmux", "-f", "/dev/null", "-S", str(folder / "tmux")]
        self._run("new-session", "-d", "-x", str(columns), "-y", str(rows), "-s", "t", "bash --norc --noprofile")
        self._run("set-option", "-g", "status", "off")

    def _run(self, *arguments: str) -> str:
        done = subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    def type(self, text: str) -> None:
        """Type characters as they are."""
        self._run("send-keys", "-t", "t", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names."""
        for key in keys:
            self._run("send-keys", "-t", "t", key)
            time.sleep(0.15)  # two escape sequences in one read are taken for another key

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the window."""
        self._run("resize-window", "-t", "t", "-x", str(columns), "-y", str(rows))

    def text(self) -> str:
        """Return the text of the window."""
        return self._run("capture-pane", "-p", "-t", "t")

    def cells(self) -> dict[tuple[int, int], tuple[str, frozenset[str]]]:
        """Return what each cell shows, with its colours, once the window does not change any more."""
        before, text = "", "-"
        while text != before:
            before = text
            time.sleep(0.5)
            text = self._run("capture-pane", "-p", "-e", "-N", "-t", "t")
        terminal = SmallTerminal()
        terminal.write(text)
        return terminal.cells

    def modes(self) -> str:
        """Return whether the alternate screen, any mouse reporting, and its SGR form are on."""
        formats = ("alternate_on", "mouse_any_flag", "mouse_sgr_flag")
        return self._run("display", "-t", "t", "-p", " ".join(f"#{{{name}}}" for name in formats)).strip()

    def wait_for(self, pattern: str) -> None:
        """Wait until the window shows a match of the regular expression."""
        wait_until(lambda: re.search(pattern, self.text()), f"{pattern!r} in the terminal", self.text)

    def close(self) -> None:
        """End the session and all processes in it."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)
