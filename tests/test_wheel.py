"""The wheel carries the presets and runs in an environment that had nothing in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEEDED_BY_SHAPES = ("platformdirs>=4", "rich>=14", "typer>=0.26,<0.29")


def pip(*arguments: str) -> None:
    """Install, or skip where no package index is reached."""
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if "No matching distribution" in done.stderr or "connection" in done.stderr.lower():
        pytest.skip(f"no package index is reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


def test_the_wheel_runs_in_an_empty_environment(tmp_path: Path) -> None:
    pip(sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT))
    (wheel,) = tmp_path.glob("alexplore-*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "empty")], check=True)
    python = tmp_path / "empty" / "bin" / "python"
    # All but torch and the app, which take minutes to install and are not needed for this.
    pip(str(python), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel))
    pip(str(python), "-m", "pip", "install", "--quiet", *NEEDED_BY_SHAPES)
    command = tmp_path / "empty" / "bin" / "alexplore"
    done = subprocess.run(
        [command, "shapes", "--preset", "paper", "--json"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["totals"]["params"] == 60_965_224
    listed = subprocess.run([command, "presets"], capture_output=True, text=True, cwd=tmp_path, check=True).stdout
    for path in (ROOT / "presets").glob("*.toml"):
        assert f" {path.stem} " in listed
