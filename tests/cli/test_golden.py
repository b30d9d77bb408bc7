"""The exact output of `shapes`, `diff`, `export` and `runs export`, in tests/golden."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexplore.export import FORMATS
from tests.support.command_line import run_here
from tests.support.golden import FOLDER, Golden

PRESETS = ("paper", "fmnist", "torchvision", "keras-bn")

RUN = Path(__file__).parents[1] / "runs" / "data" / "written-before"
RUN_FORMATS = ("csv", "json", "html")  # those that are text

BROKEN = """\
title = "A network with a layer that can't read its input"
input = [3, 32, 32]
towers = 2
layers = [
  { name = "conv1", type = "conv2d", out_channels = 6, kernel_size = 5 },
  { name = "relu1", type = "relu" },
  { name = "conv2", type = "conv2d", out_channels = 8, kernel_size = 40, stride = 2 },
  { name = "flatten", type = "flatten" },
  { name = "fc3", type = "linear", out_features = 10 },
]
"""

SHAPES = {  # the end of the file's name: options, and columns of the terminal, None for a pipe
    "80.txt": ((), 80),
    "120.txt": ((), 120),
    "explain.txt": (("--explain",), None),
    "explain.80.txt": (("--explain", "--batch", "32"), 80),
    "json": (("--json",), None),
    "csv": (("--csv",), None),
    "md": (("--markdown",), None),
}
DIFFS = {"80.txt": ((), 80), "120.txt": ((), 120), "json": (("--json",), None)}
PAIRS = ("paper torchvision", "fmnist keras-bn", "paper one-gpu torchvision")


@pytest.fixture
def broken(tmp_path: Path) -> str:
    """Return the path of a preset with a convolution that is larger than its input."""
    path = tmp_path / "broken.toml"
    path.write_text(BROKEN)
    return str(path)


@pytest.mark.parametrize("form", SHAPES)
@pytest.mark.parametrize("preset", PRESETS)
def test_shapes(golden: Golden, preset: str, form: str) -> None:
    options, columns = SHAPES[form]
    done = run_here("shapes", "--preset", preset, *options, columns=columns)
    assert (done.returncode, done.stderr) == (0, "")
    golden(f"shapes/{preset}.{form}", done.stdout)


@pytest.mark.parametrize("form", SHAPES)
def test_shapes_of_a_broken_network(golden: Golden, broken: str, form: str) -> None:
    options, columns = SHAPES[form]
    done = run_here("shapes", "--preset", broken, *options, columns=columns)
    assert done.returncode == 1
    golden(f"shapes/broken.{form}", done.stdout)
    golden("shapes/broken.stderr.txt", done.stderr)


@pytest.mark.parametrize("form", DIFFS)
@pytest.mark.parametrize("pair", PAIRS)
def test_diff(golden: Golden, pair: str, form: str) -> None:
    options, columns = DIFFS[form]
    done = run_here("diff", *pair.split(), *options, columns=columns)
    assert (done.returncode, done.stderr) == (0, "")
    golden(f"diff/{pair.replace(' ', '-')}.{form}", done.stdout)


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("preset", PRESETS)
def test_export(golden: Golden, preset: str, to: str) -> None:
    done = run_here("export", "--preset", preset, "--to", to)
    assert (done.returncode, done.stderr) == (0, "")
    golden(f"export/{preset}.{to}.txt", done.stdout)


@pytest.mark.parametrize("to", RUN_FORMATS)
def test_export_of_a_run(golden: Golden, to: str) -> None:
    done = run_here("runs", "export", RUN.name, "--to", to, "--runs-dir", str(RUN.parent))
    assert (done.returncode, done.stderr) == (0, "")
    golden(f"runs/{RUN.name}.{to}.txt", done.stdout)


def test_no_golden_text_is_left_over() -> None:
    """Of a preset or a format that is gone."""
    expected = {
        *(f"shapes/{preset}.{form}" for preset in (*PRESETS, "broken") for form in (*SHAPES, "stderr.txt")),
        *(f"diff/{pair.replace(' ', '-')}.{form}" for pair in PAIRS for form in DIFFS),
        *(f"export/{preset}.{to}.txt" for preset in PRESETS for to in FORMATS),
        *(f"runs/{RUN.name}.{to}.txt" for to in RUN_FORMATS),
    }
    folders = ("shapes", "diff", "export", "runs")
    found = {str(path.relative_to(FOLDER)) for name in folders for path in (FOLDER / name).iterdir()}
    assert found <= expected
