"""What a training records: the same weights with and without it, whole files, and what a full disk loses."""

from __future__ import annotations

import errno
import json

import numpy as np
import pytest
import torch

from alexplore.network.analysis import analyse
from alexplore.presets.library import load_preset
from alexplore.runs.directory import RunDirectory
from alexplore.runs.inside import MOST_BYTES, InsideEpoch, inside_file, load_epoch, recorded_epochs, save_epoch
from alexplore.runs.lines import LineReader
from alexplore.runs.metrics import LAYER_METRICS
from alexplore.training.checkpoint import read
from alexplore.training.data.catalog import open_dataset
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.inside import recorder
from alexplore.training.inside.layer_figures import is_measured
from alexplore.training.metrics import record_interval
from tests.support.runs import events, metrics
from tests.support.training import train_here
from tests.training.conftest import MakeRun

CPU = torch.device("cpu")


def is_figure(key: str) -> bool:
    return key.partition("/")[0] in LAYER_METRICS


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_weights_are_the_same_with_and_without(make_run: MakeRun, precision: str) -> None:
    runs = [make_run(str(inside), inside=inside, precision=precision, epochs=3) for inside in (True, False)]
    for run in runs:
        assert train_here(run) == "finished"
    ours, theirs = (read(run.checkpoints_folder / "last") for run in runs)
    assert all(torch.equal(ours.weights[name], weight) for name, weight in theirs.weights.items())
    recorded, plain = (metrics(run) for run in runs)
    assert {key: value for key, value in recorded.items() if not is_figure(key[0])} == plain
    assert len(recorded) > len(plain)
    assert not runs[1].inside_folder.exists()
    assert recorded_epochs(runs[0]) == (1, 2, 3)


def test_a_file_is_what_the_best_weights_and_the_validation_images_give(make_run: MakeRun) -> None:
    run = make_run(epochs=1, limit_val=40)
    train_here(run)
    found = load_epoch(run, 1)
    config = run.config()
    dataset = open_dataset(config, CPU, print)
    weights = read(run.checkpoints_folder / "last").weights
    assert found.kernels is not None
    assert np.abs(found.kernels.kernels.values() - weights["conv1.weight"].numpy()).max() < 0.01
    assert found.confusion is not None
    (epoch,) = events(run, "epoch")
    right = int(np.trace(found.confusion.counts))
    assert right / 40 == pytest.approx(epoch["val/acc"])
    assert sum(found.confusion.images) == int(found.confusion.counts.sum()) == 40
    assert len(found.mistakes) == min(12, 40 - right)
    view = Preprocess(config.recipe, config.network.input, dataset, CPU).view
    for mistake in found.mistakes:
        images, labels = next(dataset.val.batches(torch.tensor([mistake.index]), 1))
        assert mistake.truth == int(labels)
        assert mistake.picture.data == view(images, 64)[0].permute(1, 2, 0).contiguous().numpy().tobytes()
    assert [image.index for image in found.images] == [6, 20, 33]
    last = {key: value for (key, step), value in metrics(run).items() if step == found.step}
    assert found.figures
    assert {key: last[key] for key in found.figures} == found.figures
    assert all(found.class_name(number) == dataset.classes[number] for number in range(10))


def test_a_killed_and_resumed_run_records_the_same(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = make_run("whole", epochs=3), make_run("parts", epochs=3)
    train_here(whole)

    def dying(run: RunDirectory, epoch: InsideEpoch) -> None:
        save_epoch(run, epoch)
        if epoch.epoch == 2:
            raise KeyboardInterrupt  # after the file, before the checkpoint of the epoch

    monkeypatch.setattr(recorder, "save_epoch", dying)
    with pytest.raises(KeyboardInterrupt):
        train_here(parts)
    assert recorded_epochs(parts) == (1, 2)
    monkeypatch.setattr(recorder, "save_epoch", save_epoch)
    train_here(parts)
    assert [inside_file(parts, epoch).read_bytes() for epoch in (1, 2, 3)] == [
        inside_file(whole, epoch).read_bytes() for epoch in (1, 2, 3)
    ]


def test_a_full_disk_loses_only_what_is_recorded_here(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:

    def full(run: RunDirectory, epoch: InsideEpoch) -> None:
        if epoch.epoch < 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        save_epoch(run, epoch)

    monkeypatch.setattr(recorder, "save_epoch", full)
    run = make_run(epochs=4)
    assert train_here(run) == "finished"
    (warning,) = events(run, "warning")
    assert "No space left on device; the training goes on" in warning["message"]
    assert recorded_epochs(run) == (3, 4)
    assert len(events(run, "epoch")) == 4


def test_a_hundred_epochs_of_fmnist_take_less_than_10_mb(make_run: MakeRun) -> None:
    """The files and what the figures add to the lines; those of fmnist-28, whose layers have the same names."""
    run = make_run(network=load_preset("fmnist-28").network, epochs=1, batch_size=25)
    train_here(run)
    files = min(100 * inside_file(run, 1).stat().st_size, MOST_BYTES)
    first, *_ = LineReader(run.metrics_file).read()
    figures = len(json.dumps({key: value for key, value in first.items() if is_figure(key)}))
    preset = load_preset("fmnist")
    steps = -(-60_000 // preset.recipe.batch_size)
    interval = record_interval(analyse(preset.network).totals.macs, preset.recipe.batch_size, steps)
    measured = sum(is_measured(step, interval, steps) for step in range(1, 100 * steps + 1))
    assert measured >= 100 * 20
    assert figures > 500
    assert files + (measured + 100) * figures < 10e6
