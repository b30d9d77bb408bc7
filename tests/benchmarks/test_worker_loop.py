"""What benchmarks add to the worker's training loop."""

from __future__ import annotations

from pathlib import Path

import torch
from worker_loop import RepeatedSplit, open_trainer, train_steps

from alexplore.network.graph import Network
from alexplore.network.layers.flatten import Flatten
from alexplore.network.layers.linear import Linear
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import DataSource, Hardware, RunConfig

CPU = torch.device("cpu")


def test_images_come_over_and_over() -> None:
    pool, labels = torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1), torch.arange(3)
    split = RepeatedSplit(pool, labels, 7, CPU)
    assert len(split) == 7
    assert split.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    batches = [*split.batches(torch.tensor([6, 0, 5, 4]), 3)]
    assert [one.tolist() for _, one in batches] == [[0, 0, 2], [1]]
    assert [images.flatten().tolist() for images, _ in batches] == [[0, 0, 2], [1]]


def test_steps_are_those_of_the_middle_of_an_epoch(tmp_path: Path) -> None:
    network = Network((1, 28, 28), (Flatten(name="flatten"), Linear(name="fc", out_features=10)))
    recipe = Recipe(dataset="synthetic", batch_size=8, epochs=9, precision="fp32")
    config = RunConfig("made", network, recipe, Hardware(device="cpu"), DataSource(limit_train=160, limit_val=8))
    trainer, _ = open_trainer(config, tmp_path, "run", CPU)
    reached = []
    for _ in range(4):
        train_steps(trainer, 4)
        reached.append(trainer.progress.step)
    assert reached == [14, 18, 14, 18]  # of 20
