"""Damaged checkpoints and weight files: an older checkpoint is used, with a warning; else one message says why not."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch

from alexplore.core.errors import AlexploreError
from alexplore.network.graph import read_network
from alexplore.runs.checkpoint_names import MANIFEST, STATE, WEIGHTS
from alexplore.runs.checkup import check
from alexplore.runs.directory import RunDirectory
from alexplore.training.checkpoint import load, read, read_weights
from alexplore.training.commands.load_model import load_model
from alexplore.training.errors import CheckpointError, NotFiniteError
from tests.faults.damage import flipped, truncated
from tests.support.training import train_here
from tests.training.conftest import MakeRun

SEED = 14
FILES = (WEIGHTS, STATE, MANIFEST)
DENSE = 1024
"""A file is cut after each of so many bytes at its start and at its end, and between them at as many places."""

NARROW = {
    "input": [1, 6, 6],
    "layers": [
        {"name": "conv1", "type": "conv2d", "out_channels": 2, "kernel_size": 3},
        {"name": "norm1", "type": "batch_norm"},
        {"name": "flatten", "type": "flatten"},
        {"name": "fc2", "type": "linear", "out_features": 10},
    ],
}


@pytest.fixture
def run(make_run: MakeRun) -> RunDirectory:
    """A run of a network with a few weights, trained for two epochs; its checkpoints are `last`, `previous`, `best`."""
    run = make_run("run", network=read_network(NARROW), epochs=2, checkpoint_minutes=1e-9)
    train_here(run)
    assert {path.name for path in run.checkpoints_folder.iterdir()} == {"last", "previous", "best"}
    return run


def cuts(content: bytes) -> Iterator[bytes]:
    """Yield a file cut after every byte, or, of a large one, at a dense sample of places."""
    if len(content) <= 3 * DENSE:
        yield from truncated(content)
        return
    middle = range(DENSE, len(content) - DENSE, max(1, (len(content) - 2 * DENSE) // DENSE))
    for end in (*range(DENSE), *middle, *range(len(content) - DENSE, len(content))):
        yield content[:end]


def damages(content: bytes, generator: random.Random, flips: int) -> Iterator[bytes]:
    yield from cuts(content)
    yield from flipped(content, flips, generator)


def sampled(damaged: Iterator[bytes], generator: random.Random, count: int) -> list[bytes]:
    return generator.sample(list(damaged), count)


def check_fallback(run: RunDirectory, whole: dict[str, Any], name: str) -> None:
    """Check that a checkpoint is read whose file `name` in `last` is damaged: `previous`, with one warning.

    Of a manifest some bits may be flipped that nothing depends on, such as those of the time.
    """
    warnings: list[str] = []
    loaded = load(run.checkpoints_folder, warnings.append)
    assert loaded is not None
    if loaded.folder.name == "last":
        assert name == MANIFEST and not warnings
    else:
        assert loaded.folder.name == "previous"
        (warning,) = warnings
        assert warning.startswith(str(run.checkpoints_folder / "last")), warning
    expected = whole[loaded.folder.name]
    assert loaded.weights.keys() == expected.keys()
    assert all(torch.equal(loaded.weights[key], weight) for key, weight in expected.items())
    assert list(check(run)) or loaded.folder.name == "last"


def each_damage(run: RunDirectory, name: str, damaged: list[bytes]) -> None:
    whole = {part: read_weights(run.checkpoints_folder / part) for part in ("last", "previous")}
    whole = {part: {key: weight.clone() for key, weight in weights.items()} for part, weights in whole.items()}
    path = run.checkpoints_folder / "last" / name
    path.write_bytes(path.read_bytes())
    for content in damaged:
        path.unlink()  # not the copy of it in `best`, which is the same file
        path.write_bytes(content)
        check_fallback(run, whole, name)


@pytest.mark.parametrize("name", FILES)
def test_a_share_of_the_damaged_checkpoints(run: RunDirectory, name: str) -> None:
    generator = random.Random(f"{SEED} {name}")
    content = (run.checkpoints_folder / "last" / name).read_bytes()
    each_damage(run, name, sampled(damages(content, generator, 300), generator, 25))


@pytest.mark.faults
@pytest.mark.parametrize("name", FILES)
def test_every_damaged_checkpoint(run: RunDirectory, name: str, record_property: Callable[[str, object], None]) -> None:
    content = (run.checkpoints_folder / "last" / name).read_bytes()
    damaged = list(damages(content, random.Random(f"{SEED} {name}"), 500))
    each_damage(run, name, damaged)
    record_property(f"fault: damaged {name} of a checkpoint", len(damaged))


def try_weights(path: Path, run: RunDirectory) -> bool:
    """Return whether a weight file can be used for a run's network; one that can't must be refused by name."""
    try:
        tensors = read_weights(path)
        assert all(tensor.isfinite().all() in (True, False) for tensor in tensors.values())  # every value can be read
        load_model(run.path, path)
    except CheckpointError as error:
        assert str(error).startswith(str(path))
        return False
    return True


def weight_files(run: RunDirectory, folder: Path) -> list[Path]:
    """Return the run's weights in each form that is read: safetensors, and PyTorch's two."""
    weights = {name: tensor.clone() for name, tensor in read_weights(run.checkpoints_folder / "last").items()}
    files = [folder / "w.safetensors", folder / "zip.pt", folder / "legacy.pt"]
    shutil.copy(run.checkpoints_folder / "last" / WEIGHTS, files[0])
    torch.save(weights, files[1])
    torch.save(weights, files[2], _use_new_zipfile_serialization=False)
    assert all(try_weights(path, run) for path in files)
    return files


def test_a_share_of_the_damaged_weight_files(run: RunDirectory, tmp_path: Path) -> None:
    for path in weight_files(run, tmp_path):
        generator = random.Random(f"{SEED} {path.name}")
        for content in sampled(damages(path.read_bytes(), generator, 300), generator, 12):
            path.write_bytes(content)
            try_weights(path, run)


@pytest.mark.faults
@pytest.mark.parametrize("number", range(3))
def test_every_damaged_weight_file(
    run: RunDirectory, tmp_path: Path, number: int, record_property: Callable[[str, object], None]
) -> None:
    path = weight_files(run, tmp_path)[number]
    damaged = list(damages(path.read_bytes(), random.Random(f"{SEED} {path.name}"), 1000))
    for content in damaged:
        path.write_bytes(content)
        try_weights(path, run)
    record_property(f"fault: damaged weight file {path.name}", len(damaged))


def write_state(folder: Path, state: Any) -> None:
    """Replace state.pt, with the right checksum, as somebody might who wants to harm."""
    torch.save(state, folder / STATE)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["sha256"][STATE] = sha256((folder / STATE).read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))


OTHER_VALUES: tuple[Any, ...] = (None, -1, 2**63, 1e308, float("nan"), "x", [], {}, {"x": 1}, torch.zeros(2), True)


def changed_states(state: dict[str, Any]) -> Iterator[Any]:
    """Yield a state with each of its values left out, or replaced by each other one; of lists the first item."""
    yield from OTHER_VALUES[:-1]
    for path in _paths(state):
        for value in (..., *OTHER_VALUES):
            changed = deepcopy(state)
            *above, last = path
            table = changed
            for key in above:
                table = table[key]
            if value is ...:
                del table[last]
            else:
                table[last] = value
            yield changed


def _paths(value: Any) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, item in items:
        yield (key,)
        yield from ((key, *path) for path in _paths(item))


def check_resumed(make_run: MakeRun, trained: RunDirectory, name: str, state: Any) -> bool:
    """Return whether a run can be resumed whose checkpoint has another state; if not, it must be refused by name."""
    run = RunDirectory(trained.path.parent / name)
    shutil.copytree(trained.path, run.path)
    write_state(run.checkpoints_folder / "last", state)
    try:
        train_here(run)
    except NotFiniteError:  # a value that is found when it is to be saved
        return False
    except AlexploreError as error:
        assert str(run.checkpoints_folder / "last" / STATE) in str(error)
        return False
    finally:
        shutil.rmtree(run.path)
    return True


@pytest.fixture
def half(make_run: MakeRun) -> RunDirectory:
    """A run with one epoch of two behind it."""
    run = make_run("half", network=read_network(NARROW), epochs=1, checkpoint_minutes=1e-9)
    train_here(run)
    config = json.loads(run.config_file.read_text())
    config["recipe"]["epochs"] = 2
    run.config_file.write_text(json.dumps(config))
    return run


def test_a_share_of_the_changed_states(make_run: MakeRun, half: RunDirectory) -> None:
    states = list(changed_states(read(half.checkpoints_folder / "last").state))
    for number, state in enumerate(random.Random(SEED).sample(states, 6)):
        check_resumed(make_run, half, f"changed{number}", state)


@pytest.mark.faults
def test_every_changed_state(
    make_run: MakeRun, half: RunDirectory, record_property: Callable[[str, object], None]
) -> None:
    states = list(changed_states(read(half.checkpoints_folder / "last").state))
    resumed = sum(check_resumed(make_run, half, f"changed{number}", state) for number, state in enumerate(states))
    record_property("fault: changed state of a checkpoint", len(states))
    record_property("fault: changed state of a checkpoint that was resumed", resumed)
