"""`alexplore train` needs PyTorch, safetensors, rich, typer, platformdirs and psutil, and nothing else of what the app,
image files and saved presets need."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import Alexplore
from tests.training.data import small_fashion_mnist

# Python imports this module at its start, in every process that is started with its folder on PYTHONPATH.
SITECUSTOMIZE = """
import sys
from importlib.abc import MetaPathFinder

MISSING = {"textual", "torchvision", "PIL", "tomlkit"}

class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""

WORKER = """
import sys
from dataclasses import replace
from pathlib import Path

from alexplore.presets.datasets import DATASETS
from alexplore.presets.reader import read_preset
from alexplore.runs.data import idx_files
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import create_run
from alexplore.training import worker

preset, data, runs, digests = sys.argv[1:]
idx_files.CONTENTS = {"fashion-mnist": digests.split(",")}
few = DATASETS["fashion-mnist"]
DATASETS["fashion-mnist"] = few._replace(images=few.images._replace(train=40, val=20))
opened = read_preset(Path(preset))
recipe = replace(opened.recipe, dataset="fashion-mnist")
config = RunConfig(opened.name, opened.network, recipe, Hardware(device="cpu"), DataSource(folder=data))
sys.exit(worker.main([str(create_run(config, Path(runs), "run").path)]))
"""


@pytest.fixture
def few_packages(heavy: None, tmp_path: Path) -> str:
    """A PYTHONPATH with which those packages can't be imported, in any process."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))


def test_the_packages_are_missing_in_these_processes(few_packages: str) -> None:
    program = "import importlib.util as u; print([u.find_spec('rich') is not None]); import PIL"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": few_packages},
    )  # fmt: skip
    assert done.stdout.strip() == "[True]"
    assert "No module named 'PIL'" in done.stderr


def test_synthetic_images_are_trained_on(few_packages: str, tiny_preset: Path, alexplore: Alexplore) -> None:
    arguments = ("--preset", str(tiny_preset), "--device", "cpu", "--limit-train", "128", "--limit-val", "64")
    done = alexplore("train", *arguments, PYTHONPATH=few_packages)
    assert done.returncode == 0, done.stderr
    assert "epoch 2/2" in done.stdout


def test_doctor_says_what_is_missing(few_packages: str, alexplore_process: Alexplore) -> None:
    done = alexplore_process("doctor", PYTHONPATH=few_packages)
    assert done.returncode == 1
    for package in ("torchvision", "textual"):
        assert f"✗                {package} is not installed: pip install {package}" in done.stdout
    assert done.stderr == ""


def test_fashion_mnist_is_trained_on(few_packages: str, tiny_preset: Path, tmp_path: Path) -> None:
    files = small_fashion_mnist.contents()
    (tmp_path / "data").mkdir()
    for name, content in files.items():
        (tmp_path / "data" / name).write_bytes(content)
    digests = ",".join(hashlib.md5(content).hexdigest() for content in files.values())
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(tiny_preset), str(tmp_path / "data"), str(tmp_path / "runs"), digests],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": few_packages, "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "fashion-mnist: 40 training and 20 validation images" in done.stdout
    assert "finished at step" in done.stdout
