"""The files of a run's folder `inside/`: written, read, bounded, and damaged."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save

from alexplore.runs import inside
from alexplore.runs.directory import RunDirectory
from alexplore.runs.inside import (
    Confusion,
    InsideEpoch,
    InsideError,
    LayerHistogram,
    Quantised,
    inside_file,
    load_epoch,
    recorded_epochs,
    remove_after,
    save_epoch,
    thinned,
)
from docs.demo_runs import demo_epoch
from tests.support.examples import examples


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    return run


def test_an_epoch_is_read_as_it_was_written(run: RunDirectory) -> None:
    written = demo_epoch(3, 60)
    save_epoch(run, written)
    read = load_epoch(run, 3)
    same = ("epoch", "step", "figures", "classes", "weights", "activations", "images", "mistakes")
    assert all(getattr(read, name) == getattr(written, name) for name in same)
    assert read.kernels is not None
    assert written.kernels is not None
    assert np.array_equal(read.kernels.kernels.values(), written.kernels.kernels.values())
    assert (read.kernels.layer, read.kernels.towers, read.kernels.total) == ("conv1", 1, 16)
    assert [(maps.layer, maps.image, maps.shape) for maps in read.maps] == [
        (maps.layer, maps.image, maps.shape) for maps in written.maps
    ]
    assert all(np.array_equal(a.maps.codes, b.maps.codes) for a, b in zip(read.maps, written.maps, strict=True))
    assert read.confusion is not None
    assert written.confusion is not None
    assert read.confusion.counts.tolist() == written.confusion.counts.tolist()
    assert read.class_name(6) == "Shirt"
    assert read.class_name(77) == "77"


def test_an_epoch_may_hold_nothing_but_its_number(run: RunDirectory) -> None:
    save_epoch(run, InsideEpoch(1, 20, figures={"grad_norm/conv1": float("inf")}))
    read = load_epoch(run, 1)
    assert read.figures == {"grad_norm/conv1": float("inf")}
    assert (read.kernels, read.confusion, read.maps, read.weights) == (None, None, (), ())


def test_the_arrays_can_be_read_without_us(run: RunDirectory) -> None:
    save_epoch(run, demo_epoch(1, 20))
    arrays = load_file(inside_file(run, 1))
    assert arrays["confusion"].shape == (10, 10)
    assert arrays["mistakes"].shape == (4, 28, 28, 1)
    assert arrays["weights"].shape == (8, 64)


def test_epochs_are_listed_without_what_is_no_file_of_ours(run: RunDirectory) -> None:
    assert recorded_epochs(run) == ()
    for epoch in (2, 1, 10):
        save_epoch(run, InsideEpoch(epoch, 20))
    folder = run.inside_folder
    (folder / "epoch-0003.safetensors").mkdir()
    (folder / "epoch-0004.safetensors").symlink_to(folder / "epoch-0001.safetensors")
    os.mkfifo(folder / "epoch-0005.safetensors")
    (folder / "epoch-00001.safetensors").touch()  # another name of epoch 1
    (folder / "notes.txt").touch()
    assert recorded_epochs(run) == (1, 2, 10)


@pytest.mark.parametrize("kind", ["folder", "link", "fifo", "absent"])
def test_what_is_no_regular_file_is_not_read(run: RunDirectory, kind: str) -> None:
    save_epoch(run, InsideEpoch(1, 20))
    path = inside_file(run, 7)
    match kind:
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(inside_file(run, 1))
        case "fifo":
            os.mkfifo(path)
    with pytest.raises(InsideError, match="epoch 7 was not recorded" if kind == "absent" else str(path)):
        load_epoch(run, 7)


def test_nothing_is_read_or_written_through_a_link_to_a_folder(run: RunDirectory, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run.inside_folder.symlink_to(elsewhere)
    with pytest.raises(OSError, match="link"):
        save_epoch(run, InsideEpoch(1, 20))
    (elsewhere / "epoch-0001.safetensors").touch()
    assert recorded_epochs(run) == ()
    with pytest.raises(InsideError, match="link"):
        load_epoch(run, 1)


def test_a_run_without_recordings_says_so(run: RunDirectory) -> None:
    with pytest.raises(InsideError, match="no epoch was recorded"):
        load_epoch(run, 1)


@examples(30)
@given(at=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.booleans())
def test_damage_is_refused_or_harmless(
    at: float, value: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    save_epoch(run, demo_epoch(1, 20))
    save_epoch(run, demo_epoch(2, 40))
    content = bytearray(inside_file(run, 1).read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    if cut:
        del content[int(at * len(content)) :]
    else:
        content[int(at * header)] = value
    inside_file(run, 1).write_bytes(content)
    try:
        load_epoch(run, 1)
    except InsideError as error:
        assert str(inside_file(run, 1)) in str(error)
    assert load_epoch(run, 2).step == 40


def test_foreign_and_later_files_are_refused(run: RunDirectory) -> None:
    save_epoch(run, demo_epoch(1, 20))
    path = inside_file(run, 1)
    path.write_bytes(save({"conv1.weight": np.zeros((2, 2), np.float32)}))
    with pytest.raises(InsideError, match="damaged"):
        load_epoch(run, 1)
    path.write_bytes(save({}, {"alexplore": '{"version": 99}'}))
    with pytest.raises(InsideError, match="later version"):
        load_epoch(run, 1)


@pytest.mark.parametrize("epochs", [1, 2, 3, 50, 100, 101, 1000])
def test_a_long_training_keeps_epochs_evenly(epochs: int) -> None:
    """Thinned after each epoch, as a training does it: no gap is more than twice another, but for the ends."""
    kept: set[int] = set()
    for epoch in range(1, epochs + 1):
        kept = thinned(dict.fromkeys((*kept, epoch), 1000), 100, 10**9)
    assert {1, epochs} <= kept
    assert len(kept) == min(epochs, 100)
    gaps = np.diff(sorted(kept)[:-1])
    assert not len(gaps) or gaps.max() <= 2 * max(1, gaps.min())


def test_files_are_bounded_in_bytes_too() -> None:
    kept = thinned(dict.fromkeys(range(1, 101), 100_000), 100, 5_000_000)
    assert len(kept) == 50
    assert thinned({1: 10**9, 2: 10**9}, 2, 1) == {1, 2}


def test_the_folder_is_thinned_when_an_epoch_is_saved(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "MOST_FILES", 3)
    (run.path / "inside").mkdir()
    (run.inside_folder / ".epoch-0001.safetensors.1234").touch()  # a worker was killed while it wrote
    for epoch in range(1, 7):
        save_epoch(run, InsideEpoch(epoch, 20 * epoch))
    assert len(recorded_epochs(run)) == 3
    assert {path.name[0] for path in run.inside_folder.iterdir()} == {"e"}


def test_a_resumed_run_forgets_the_epochs_that_it_trains_again(run: RunDirectory) -> None:
    for epoch in (1, 2, 3):
        save_epoch(run, InsideEpoch(epoch, 20))
    remove_after(run, 1)
    assert recorded_epochs(run) == (1,)


def test_codes_are_close_to_the_numbers() -> None:
    values = np.random.default_rng(0).normal(size=(5, 3, 7, 7)).astype(np.float32)
    values[4] = 2.5
    quantised = Quantised.of(values)
    span = values.reshape(5, -1).max(1) - values.reshape(5, -1).min(1)
    error = np.abs(quantised.values() - values).reshape(5, -1).max(1)
    assert (error <= span / 510 + 1e-6).all()


def test_a_widened_histogram_is_that_over_wider_bins() -> None:
    values = np.random.default_rng(0).normal(0, 0.3, 1000)

    def histogram(limit: float) -> LayerHistogram:
        counts, _ = np.histogram(values.clip(-limit, limit), inside.BINS, (-limit, limit))
        return LayerHistogram("conv1", tuple(counts.tolist()), limit, 0, 0.3, -1, 1)

    assert histogram(2.0).widened(8.0) == histogram(8.0)
    assert histogram(2.0).edges == tuple(np.linspace(-2, 2, inside.BINS + 1))


def test_confusions_are_sorted() -> None:
    matrix = Confusion((2, 5, 7), np.array([[8, 2, 0], [1, 9, 0], [4, 0, 3]], np.uint32), (10, 10, 10))
    assert matrix.worst(2) == [(7, 2, 4), (2, 5, 2)]
    assert matrix.recall(2) == 0.3


def test_a_damaged_run_of_numbers_is_refused(run: RunDirectory) -> None:
    """Each of these has the right types and sizes of tensors."""
    epoch = demo_epoch(1, 20)
    wrong = [
        replace(epoch, images=(replace(epoch.images[0], probabilities=()),), maps=()),
        replace(epoch, images=epoch.images[:1]),  # maps of images that are not there
        replace(epoch, weights=(replace(epoch.weights[0], limit=0.0),)),
    ]
    for one in wrong:
        save_epoch(run, one)
        with pytest.raises(InsideError, match="damaged"):
            load_epoch(run, 1)
