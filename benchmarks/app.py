"""The app's start beside an empty Textual app's, and its keys on a network of a thousand layers in a real terminal.

Prints ratios and milliseconds measured in one run. `python benchmarks/app.py [TURNS]`
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from results import report
from textual.constants import ESCAPE_DELAY
from turns import figure

STARTS_SLOWER, KEY_MILLISECONDS = 1.5, 100.0
QUIET_SECONDS = 0.15  # a screen is complete when there is no output for this long
PREPARATION_SECONDS = 3.0  # after the first screen: once, the app prepares the screens that are one key away
SIZE = (40, 120)

EMPTY = """
from textual.app import App
class Empty(App):
    def on_ready(self):
        self.screen.call_after_refresh(self.exit)
Empty().run(headless=True, size=(120, 40))
"""

# As `alexplore tui` does, without garbage collection while modules are imported.
START = """
import gc
gc.disable()
from pathlib import Path
from alexplore.network.graph import read_network
from alexplore.presets.preset import Preset
from alexplore.presets.library import load_preset
from alexplore.tui.app import ExploreApp
gc.freeze()
gc.enable()
"""

OURS = """
class Ours(ExploreApp):
    def on_ready(self):
        self.screen.call_after_refresh(self.exit)
Ours(load_preset("paper"), Path("/nonexistent")).run(headless=True, size=(120, 40))
"""

DEEP = """
layers = []
for index in range(500):
    layers.append({"name": f"conv{index}", "type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1})
    layers.append({"name": f"relu{index}", "type": "relu"})
network = read_network({"input": [3, 64, 64], "layers": layers})
ExploreApp(Preset("deep", network, load_preset("paper").recipe), Path("/nonexistent")).run()
"""

KEYS = {
    "down": b"\x1b[B", "page down": b"\x1b[6~", "end": b"\x1b[F", "home": b"\x1b[H", "enter (opens the form)": b"\r",
    "1 (previews)": b"1", "backspace (previews)": b"\x7f", "4 (previews)": b"4", "enter (keeps the edit)": b"\r",
    "u (undoes it)": b"u", "y (duplicates)": b"y", "x (removes)": b"x", "enter (the form again)": b"\r",
    "escape": b"\x1b",  # without the time that Textual waits for the rest of an escape sequence
}  # fmt: skip


def environment() -> dict[str, str]:
    """Return the environment of the processes, in which bytecode is cached, as for an installed program."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "TERM": "xterm-256color"}


def seconds(program: str) -> float:
    """Return the processor time of a process that opens an app, shows its first screen and exits."""
    before = os.times()
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, env=environment())
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def start(turns: int) -> None:
    """Measure the start of the app and of an empty Textual app by turns."""
    seconds(START + OURS), seconds(EMPTY)  # fill the caches of the file system
    pairs = [(seconds(START + OURS), seconds(EMPTY)) for _ in range(turns)]
    report("first screen", figure([ours for ours, _ in pairs]), "s of the processor")
    ratio = figure([ours / empty for ours, empty in pairs])
    report("first screen over an empty Textual app's", ratio, goal=f"at most {STARTS_SLOWER}")


class Terminal:
    """A program in its own terminal."""

    def __init__(self, program: str) -> None:
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.execve(sys.executable, [sys.executable, "-c", program], environment())
        fcntl.ioctl(self.screen, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))

    def settle(self, patience: float) -> float:
        """Return the seconds until the last output before a pause; wait at most `patience` seconds for the first."""
        started = last = time.perf_counter()
        waiting = patience
        while select.select([self.screen], [], [], waiting)[0]:
            os.read(self.screen, 1 << 16)
            last, waiting = time.perf_counter(), QUIET_SECONDS
        return last - started

    def press(self, key: bytes) -> float:
        """Return the seconds from a key to the last byte that it draws."""
        os.write(self.screen, key)
        return self.settle(1.0)

    def close(self) -> None:
        """End the program."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.screen)


def keys(turns: int) -> None:
    """Measure each key, from the press to the last byte that it draws."""
    taken: dict[str, list[float]] = {name: [] for name in KEYS}
    opened = []
    for _ in range(turns):
        terminal = Terminal(START + DEEP)
        opened.append(terminal.settle(10.0))
        time.sleep(PREPARATION_SECONDS)
        for name, key in KEYS.items():
            taken[name].append(terminal.press(key) - (ESCAPE_DELAY if key == b"\x1b" else 0.0))
        terminal.close()
    report("1,000 layers: open, Python's start and imports included", figure(opened), "s")
    for name, times in taken.items():
        milliseconds = figure([1000 * time for time in times])
        report(f"1,000 layers: {name}", milliseconds, "ms", ".1f", f"at most {KEY_MILLISECONDS:.0f} ms")


if __name__ == "__main__":
    chosen = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    start(chosen)
    keys(min(chosen, 5))
