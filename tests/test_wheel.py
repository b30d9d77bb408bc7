"""The sdist builds the wheel, and the wheel brings the presets and runs in an empty environment."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from alexplore import __version__

ROOT = Path(__file__).parents[1]
VERSION = "import importlib.metadata; print(importlib.metadata.version('alexplore'))"
NEEDED_BY_SHAPES = ("platformdirs>=4", "rich>=14", "typer>=0.26,<0.29")


def pip(*arguments: str) -> None:
    """Run a command that downloads packages; skip the test if no package index can be reached."""
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if "No matching distribution" in done.stderr or "connection" in done.stderr.lower():
        pytest.skip(f"no package index is reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("heavy")
def test_the_wheel_runs_in_an_empty_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # neither the folder nor a variable leads to the checkout
    monkeypatch.delenv("PYTHONPATH", raising=False)

    def output(*command: str | Path) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    pip(sys.executable, "-m", "build", "--outdir", str(tmp_path), str(ROOT))  # the wheel from the sdist
    (wheel,) = tmp_path.glob(f"alexplore-{__version__}-*.whl")
    assert "alexplore/training/kernels/lrn.c" in zipfile.ZipFile(wheel).namelist()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "empty")], check=True)
    python = tmp_path / "empty" / "bin" / "python"
    install = (sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-compile")
    # Without torch and the app: they take minutes to install, and `shapes` does not need them.
    pip(*install, "--no-deps", str(wheel))
    pip(*install, *NEEDED_BY_SHAPES)
    command = tmp_path / "empty" / "bin" / "alexplore"
    assert output(command, "--version") == f"alexplore {__version__}\n"
    assert output(python, "-c", VERSION) == f"{__version__}\n"
    assert json.loads(output(command, "shapes", "--preset", "paper", "--json"))["totals"]["params"] == 60_965_224
    listed = output(command, "presets")
    for path in (ROOT / "presets").glob("*.toml"):
        assert f" {path.stem} " in listed
    lessons = output(command, "lesson", "list")
    for path in (ROOT / "lessons").glob("*.toml"):
        assert path.stem in lessons
