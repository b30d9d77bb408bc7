"""Fixtures of all tests: folders of their own, small networks, the command line; and which tests are heavy.

`make check` leaves out the heavy tests: those that start a process, open the app, train, or run a network of full
size. A test is heavy if it uses the fixture `heavy`, itself or through a fixture such as `alexplore`, if it is
asynchronous, as all are that open the app, if it is in one of the `HEAVY_FOLDERS`, or if a preset that it runs is large
(`tests.support.networks.presets_to_run`).
"""

from __future__ import annotations

import gc
import inspect
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from alexplore.network.graph import Network, read_network
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import DataSource, Hardware, RunConfig
from tests.support.examples import ALL
from tests.support.golden import Golden, check_golden, update_golden
from tests.support.networks import TINY, TINY_PRESET
from tests.support.processes import Alexplore, kill_workers, run_alexplore

ROOT = Path(__file__).parent
PACKAGE = ROOT.parent / "alexplore"
HEAVY_FOLDERS = ("end_to_end", "faults", "importing")

# Without its bytecode, each of the hundreds of processes that tests start would compile the package.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Under nohup the first is ignored, and in a shell's background the second, also by the processes that tests start, and
# end by them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine may take any time for an example, and to draw it.
settings.register_profile("all", max_examples=ALL, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("all")
settings.register_profile("eighth", settings(), max_examples=ALL // 8)  # of the examples of each test, in `make check`
settings.register_profile("quarter", settings(), max_examples=ALL // 4)  # in `make test`


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes golden texts instead of comparing with them."""
    parser.addoption("--update-golden", action="store_true", help="write the texts in tests/golden anew")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the folders of heavy tests where no heavy test is wanted: to import them takes seconds."""
    heavy = any(collection_path == ROOT / folder for folder in HEAVY_FOLDERS)
    return True if heavy and "not heavy" in config.option.markexpr else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the heavy tests, and those with golden texts; leave out the exhaustive ones unless -m names them."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        opens_app = inspect.iscoroutinefunction(getattr(item, "function", None))
        if "heavy" in fixtures or opens_app or item.path.relative_to(ROOT).parts[0] in HEAVY_FOLDERS:
            item.add_marker(pytest.mark.heavy)
        if "golden" in fixtures:
            item.add_marker(pytest.mark.golden)
        if item.get_closest_marker("exhaustive") and "exhaustive" not in item.config.option.markexpr:
            item.add_marker(pytest.mark.skip(reason="takes many minutes: -m exhaustive runs it"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from scanning, again and again, the thousands of tests and what they import."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture
def heavy() -> None:
    """Mark the tests that use this fixture, also through another one, as heavy."""


@pytest.fixture(autouse=True)
def no_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that is not heavy if it, or alexplore, starts a process. Libraries may: Keras asks `uname`."""
    if request.node.get_closest_marker("heavy") is not None:
        return
    start: Any = subprocess.Popen.__init__

    def refuse(process: object, command: object, *arguments: object, **options: object) -> None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename == subprocess.__file__:
            frame = frame.f_back
        caller = Path(frame.f_code.co_filename) if frame else ROOT
        if any(caller.is_relative_to(folder) for folder in (ROOT, PACKAGE)):
            pytest.fail(f'starts {command}: give the test @pytest.mark.usefixtures("heavy")')
        start(process, command, *arguments, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)


@pytest.fixture(autouse=True)
def no_worker_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Kill the workers that a heavy test leaves running, as one does that fails while it waits for them."""
    heavy = request.node.get_closest_marker("heavy") is not None and "tmp_path" in request.fixturenames
    folder = request.getfixturevalue("tmp_path") if heavy else None
    yield
    if folder is not None:
        kill_workers(folder / "runs")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Return what compares a text with the golden one of a name, or writes it with --update-golden."""
    return update_golden if request.config.getoption("--update-golden") else check_golden


@pytest.fixture(autouse=True)
def own_folders(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep tests from the user's presets and runs: these are in `tmp_path`, or where nothing is, if a test has none."""
    has_folder = "tmp_path" in request.fixturenames
    folder = request.getfixturevalue("tmp_path") if has_folder else tmp_path_factory.getbasetemp() / uuid4().hex
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    monkeypatch.setenv("ALEXPLORE_RUNS", str(folder / "runs"))
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Let PyTorch compute with one thread: on small tensors, several mostly wait for each other."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def compiled() -> None:
    """Compile the C kernels first, because tests that are not heavy must not start a compiler."""
    if kernels := sys.modules.get("alexplore.training.kernels.lrn_compiled"):
        kernels.why_not_compiled()


@pytest.fixture
def tiny() -> Network:
    """One convolution, one pool, one linear layer."""
    return read_network(TINY)


@pytest.fixture
def tiny_preset(tmp_path: Path) -> Path:
    """The same as a preset file that trains on drawn images."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY_PRESET)
    return path


@pytest.fixture
def config(tiny: Network) -> RunConfig:
    """A run that takes a second."""
    recipe = Recipe(dataset="synthetic", optimizer="adam", lr=0.005, epochs=2, precision="fp32")
    return RunConfig("tiny", tiny, recipe, Hardware(device="cpu"), DataSource(limit_train=512, limit_val=128))


@pytest.fixture
def alexplore_process(heavy: None) -> Alexplore:
    """Return what runs the command line in a process of its own, without a terminal."""
    return run_alexplore


@pytest.fixture
def alexplore(alexplore_process: Alexplore) -> Alexplore:
    """Return what runs the command line: a process here, the test's own process in `tests/cli` and `tests/runs`."""
    return alexplore_process
