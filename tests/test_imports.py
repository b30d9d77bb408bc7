"""The network half, the runs and the app load no torch: shown by what a fresh interpreter has loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

APP = """
import asyncio
from pathlib import Path
from alexplore.presets.library import load_preset
from alexplore.tui.app import ExploreApp

async def look():
    app = ExploreApp(load_preset("paper"), Path({folder!r}))
    async with app.run_test(size=(120, 40)) as pilot:
        for key in ("2", "3", "1"):
            await pilot.press(key)
            await pilot.pause()

asyncio.run(look())
"""

COMMAND = """
from typer.testing import CliRunner
from alexplore.cli.app import app
result = CliRunner().invoke(app, {arguments!r})
assert result.exit_code == 0, result.output
"""

PROGRAMS = {
    "shapes": COMMAND.format(arguments=["shapes", "--preset", "paper"]),
    "presets": COMMAND.format(arguments=["presets"]),
    "diff": COMMAND.format(arguments=["diff", "paper", "torchvision"]),
    "lesson": COMMAND.format(arguments=["lesson", "check", "01-one-convolution"]),
    "runs": COMMAND.format(arguments=["runs", "list"]),
    "launch": "import alexplore.runs.launch",
    "app": APP,
}


@pytest.mark.usefixtures("heavy")
@pytest.mark.parametrize("program", PROGRAMS)
def test_no_torch(program: str, tmp_path: Path) -> None:
    source = PROGRAMS[program].replace("{folder!r}", repr(str(tmp_path)))
    source += (
        "\nimport sys, json\nprint(json.dumps([name for name in sys.modules if '.' not in name]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert not loaded & {"torch", "torchvision", "safetensors"}
    if program in ("shapes", "lesson", "runs"):
        assert not loaded & {"textual", "pydantic", "numpy", "tomlkit"}
