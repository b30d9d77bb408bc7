"""The app's start beside an empty Textual app's, and its keys on a network of a thousand layers.

Prints ratios and milliseconds measured in one run. `python benchmarks/app.py`
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from alexplore.network.network import Network, read_network
from alexplore.network.presets import Preset, load_preset
from alexplore.tui.app import ExploreApp
from alexplore.tui.widgets.layer_table import LayerTable

ROUNDS = 5

EMPTY = """
from textual.app import App
class Empty(App):
    def on_ready(self):
        self.screen.call_after_refresh(self.exit)
Empty().run(headless=True, size=(120, 40))
"""

OURS = """
from pathlib import Path
from alexplore.network.presets import load_preset
from alexplore.tui.app import ExploreApp
class Ours(ExploreApp):
    def on_ready(self):
        self.screen.call_after_refresh(self.exit)
Ours(load_preset("paper"), Path("/nonexistent")).run(headless=True, size=(120, 40))
"""


def seconds(program: str) -> float:
    """Of a process that opens an app, shows its first screen, and leaves."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    return time.perf_counter() - started


def start() -> None:
    """Alternating runs of both."""
    empty, ours = [], []
    for _ in range(ROUNDS):
        empty.append(seconds(EMPTY))
        ours.append(seconds(OURS))
    ratio = statistics.median(ours) / statistics.median(empty)
    print(
        f"first screen: {statistics.median(ours):.2f} s, an empty Textual app {statistics.median(empty):.2f} s: "
        f"{ratio:.2f} times (at most 1.5)"
    )


def deep(layers: int) -> Network:
    """Convolutions and activations, one after the other."""
    entries = []
    for index in range(layers // 2):
        entries.append({"name": f"conv{index}", "type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1})
        entries.append({"name": f"relu{index}", "type": "relu"})
    return read_network({"input": [3, 64, 64], "layers": entries})


async def keys() -> None:
    """Each key from press to repaint, in milliseconds; `z` does nothing, and shows what the measuring itself takes."""
    with tempfile.TemporaryDirectory() as folder:
        app = ExploreApp(Preset("deep", deep(1000), load_preset("paper").recipe), Path(folder))
        opened = time.perf_counter()
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            print(f"1,000 layers: opens in {1000 * (time.perf_counter() - opened):.0f} ms")
            slowest = 0.0
            for key in ("z", "down", "pagedown", "end", "home", "enter", "1", "backspace", "4", "enter", "u", "y", "x"):
                started = time.perf_counter()
                await pilot.press(key)
                app.screen.query_one(LayerTable).refresh()
                await pilot.pause(0)
                took = time.perf_counter() - started
                slowest = max(slowest, took)
                print(f"  {key:<10} {1000 * took:6.1f} ms")
            print(f"1,000 layers: the slowest key took {1000 * slowest:.0f} ms (at most 100)")


if __name__ == "__main__":
    start()
    asyncio.run(keys())
