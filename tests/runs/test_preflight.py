"""What keeps a config from being trained, and whether the proposed fixes work."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alexplore.network.graph import Network, read_network
from alexplore.presets.datasets import DATASETS
from alexplore.presets.library import load_preset
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.data.dataset_shapes import SHAPES, DatasetShape, dataset_shape
from alexplore.runs.preflight import Problem, count_outputs, find_problems, fit_problems


def network(channels: int = 1, side: int = 8, outputs: int = 10, *extra: dict[str, Any]) -> Network:
    layers = [
        {"name": "conv", "type": "conv2d", "out_channels": 4, "kernel_size": 3},
        {"name": "flatten", "type": "flatten"},
        *extra,
        {"name": "fc", "type": "linear", "out_features": outputs},
    ]
    return read_network({"input": [channels, side, side], "layers": layers})


def config_of(net: Network, dataset: str = "fashion-mnist", **settings: Any) -> RunConfig:
    return RunConfig("mine", net, Recipe(dataset=dataset)).change(settings)


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Two classes, with the name of a picture each, and a hidden folder, in both parts."""
    for part in ("train", "val"):
        for name in ("cat", "dog", ".cache"):
            (tmp_path / "images" / part / name).mkdir(parents=True)
            (tmp_path / "images" / part / name / "1.jpg").touch()
    return tmp_path / "images"


def test_a_config_that_can_be_trained_has_no_problem(image_folder: Path) -> None:
    assert find_problems(config_of(network())) == ()
    assert find_problems(config_of(network(3), "cifar10")) == ()
    assert find_problems(config_of(network(7, 8, 3), "synthetic")) == ()
    for channels in (1, 3):
        assert find_problems(config_of(network(channels, 8, 2), "imagefolder", folder=str(image_folder))) == ()


BATCH_NORM = {"name": "bn", "type": "batch_norm"}


@pytest.mark.parametrize(
    ("config", "setting", "words", "fixed"),
    [
        (
            config_of(network(side=2)),
            "network",
            "mine can't train: conv: the window's height 3 is larger than the input's 2",
            lambda config: config.network,
        ),
        (config_of(network(), gpus=200), "gpus", "200 ranks: a batch of 128 images can't be shared", 128),
        (config_of(network(), parallel="towers"), "parallel", "this network has no towers; set towers = 2", "data"),
        (
            config_of(network().with_towers(2), parallel="towers", gpus=3),
            "gpus",
            "this network has 2 towers, each for one rank, not for 3",
            2,
        ),
        (
            config_of(network(3)),
            "network",
            "images of fashion-mnist have 1 channel, the network reads 3: set input to 1×8×8",
            network(1),
        ),
        (
            config_of(network(outputs=7)),
            "network",
            "fashion-mnist has 10 classes, the network's last layer with weights fc has 7 outputs: "
            "set its out_features to 10",
            network(outputs=10),
        ),
        (
            config_of(network(1, 8, 10, BATCH_NORM), limit_train=257),
            "batch_size",
            "bn normalises over a batch, and the last batch of 257 images by 128 is one image",
            129,
        ),
        (
            config_of(network(side=8), resize=7),
            "resize",
            "resize = 7 is less than the network's input of 8×8, which is cropped from it: set resize to 8 or more",
            8,
        ),
        (
            config_of(network(), normalize="imagenet"),
            "normalize",
            'normalize = "imagenet" is for images of 3 channels, and those of fashion-mnist have 1',
            "dataset",
        ),
        (
            config_of(network(), epochs=3, swa_epochs=4),
            "swa_epochs",
            "swa_epochs = 4 are to be averaged, but the run has 3 epochs",
            lambda config: config.recipe.swa_epochs == 3,
        ),
        (
            config_of(network(), swa_epochs=4, ema_decay=0.9),
            "swa_epochs",
            "swa_epochs and ema_decay are two averages of the weights",
            lambda config: config.recipe.ema_decay is None,
        ),
        (
            config_of(network(), class_weights=(1.0, 2.0)),
            "class_weights",
            "class_weights: 2 weights, but the data set has 10 classes",
            "balanced",
        ),
        (
            config_of(network(1, 8, 10, BATCH_NORM), micro_batch_size=1),
            "micro_batch_size",
            "bn normalises over the images that are computed at once, and micro_batch_size = 1 is one image",
            2,
        ),
    ],
)
def test_each_problem_names_its_setting_and_its_fix_removes_it(
    config: RunConfig, setting: str, words: str, fixed: Any
) -> None:
    (problem,) = find_problems(config)
    assert problem.setting == setting
    assert words in problem.message
    assert problem.fix is not None
    changed = config.change(problem.fix.changes)
    assert find_problems(changed) == ()
    if not callable(fixed):
        assert problem.fix.changes == {setting: fixed}


def test_a_network_that_ends_in_a_map_is_refused(image_folder: Path) -> None:
    maps = network().remove(2).remove(1)
    (problem,) = find_problems(config_of(maps, "synthetic"))
    assert problem.setting == "network"
    assert "ends in a 4×6×6 map, not in one number for each class" in problem.message


def test_several_problems_are_all_found() -> None:
    config = config_of(network(3, outputs=7), gpus=200)
    assert [problem.setting for problem in find_problems(config)] == ["gpus", "network", "network"]


def folder_problem(folder: Path | None, outputs: int = 2, channels: int = 3) -> Problem:
    settings = {} if folder is None else {"folder": str(folder)}
    (problem,) = find_problems(config_of(network(channels, 8, outputs), "imagefolder", **settings))
    return problem


def test_an_image_folder_is_looked_into(image_folder: Path, tmp_path: Path) -> None:
    problem = folder_problem(image_folder, outputs=5)
    assert (problem.setting, problem.message.partition(",")[0]) == ("network", f"{image_folder} has 2 classes")
    for name in ("all.zip", "one.jpg"):
        (tmp_path / name).touch()
    assert "have 3 channels, the network reads 2" in folder_problem(image_folder, channels=2).message

    for folder, words in (
        (None, "an image folder has to be named: --data DIR"),
        (tmp_path / "none", "none: there is no such folder"),
        (tmp_path / "all.zip", "all.zip: it is an archive; unpack it, and name the folder"),
        (tmp_path / "one.jpg", "one.jpg: it is a file; name the folder that the data set is in"),
        (tmp_path, f"no folder {tmp_path}/train and no folder {tmp_path}/val"),
    ):
        problem = folder_problem(folder)
        assert problem.setting == "folder"
        assert words in problem.message
    (image_folder / "train" / "cat" / "1.jpg").unlink()
    assert "train: class cat has no images: add some, or remove the folder" in folder_problem(image_folder).message
    shutil.rmtree(image_folder / "val" / "dog")
    assert "train and val have different classes: only train has dog" in folder_problem(image_folder).message
    for name in ("cat", "dog"):
        shutil.rmtree(image_folder / "train" / name)
    assert "has no folders in it" in folder_problem(image_folder).message


@pytest.mark.usefixtures("heavy")  # importing torch starts a process
def test_the_sizes_of_every_data_set_are_those_that_training_reads() -> None:
    assert set(SHAPES) == set(DATASETS)
    for name, entry in DATASETS.items():
        if entry.images is not None:
            shape = dataset_shape(config_of(network(), name))
            assert (shape.name, shape.channels, shape.classes) == (
                name,
                entry.images.channels,
                len(entry.images.classes),
            )
            assert shape.train_images == entry.images.train
            assert dataset_shape(config_of(network(), name, limit_train=7)).train_images == 7


def test_settings_of_every_part_are_changed_by_name() -> None:
    config = RunConfig("mine", network())
    changed = config.change({"lr": 0.5, "device": "cpu", "folder": "/x", "network": network(3)})
    assert changed == replace(
        config,
        network=network(3),
        recipe=replace(config.recipe, lr=0.5),
        hardware=Hardware(device="cpu"),
        data=DataSource(folder="/x"),
    )


def test_an_input_with_its_channels_last_is_fixed_to_the_right_order() -> None:
    layers = [{"type": "conv2d", "out_channels": 4, "kernel_size": 1}, {"type": "flatten"}]
    turned = read_network({"input": [28, 28, 1], "layers": [*layers, {"type": "linear", "out_features": 10}]})
    (problem,) = find_problems(config_of(turned))
    assert "the network reads 28: set input to 1×28×28" in problem.message
    assert problem.fix is not None and problem.fix.changes["network"].input == (1, 28, 28)


def test_maps_that_are_left_at_the_end_are_no_classes() -> None:
    """The pool at the end of `nin` covers maps of 8×8; those of larger images have several positions."""
    network = load_preset("nin").network
    shape = DatasetShape("cifar10", 3, 10, 50_000)
    assert count_outputs(network) == 10
    assert not list(fit_problems(network, shape))
    larger = network.with_input(3, 64, 64)
    assert count_outputs(larger) == 10 * 9 * 9
    for asked in (shape, DatasetShape("cifar100", 3, 100, 50_000), DatasetShape("synthetic", 3, None, 512)):
        (problem,) = fit_problems(larger, asked)
        assert "10 classes apart but has 810 outputs: its last maps are not 1×1 with an input of 3×64×64" in (
            problem.message
        )


def test_a_network_whose_last_weights_are_not_its_outputs_fits_by_its_outputs() -> None:
    layers = [
        {"name": "flat", "type": "flatten"},
        {"name": "fc", "type": "linear", "out_features": 490},
        {"name": "maps", "type": "unflatten", "unflattened_size": [10, 7, 7]},
        {"name": "pool", "type": "adaptive_avg_pool2d", "output_size": 1},
        {"name": "out", "type": "flatten"},
    ]
    network = read_network({"input": [3, 32, 32], "layers": layers})
    assert count_outputs(network) == 10
    for shape in (DatasetShape("cifar10", 3, 10, 50_000), DatasetShape("synthetic", 3, None, 512)):
        assert not list(fit_problems(network, shape))
