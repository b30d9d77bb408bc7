"""Opening a run's data set: which one, whether it fits the network, and how much of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from alexplore.network.graph import Network, read_network
from alexplore.presets.datasets import DATASETS, DatasetEntry
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import DataSource, RunConfig
from alexplore.runs.data.errors import DataError
from alexplore.runs.data.trained_on import TrainedOn, parse_trained_on
from alexplore.training.data.cache import Arrays
from alexplore.training.data.catalog import OPENERS, open_dataset
from alexplore.training.data.dataset import ResidentSplit, choose_balanced
from alexplore.training.data.image_folder import open_test_images
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.data.published import PublishedDataset
from alexplore.training.model.build import build
from alexplore.training.objective import Objective
from alexplore.training.optim import make_optimizer, update
from alexplore.training.precision import Precision
from tests.support.examples import examples

CPU = torch.device("cpu")


def network(channels: int = 1, side: int = 28, classes: int = 10) -> Network:
    layers = [
        {"name": "flatten", "type": "flatten"},
        {"name": "fc", "type": "linear", "out_features": classes},
    ]
    return read_network({"input": [channels, side, side], "layers": layers})


def config_of(dataset: str, net: Network | None = None, data: DataSource | None = None, **recipe: object) -> RunConfig:
    return RunConfig("made", net or network(), Recipe(dataset=dataset, **recipe), data=data or DataSource())  # type: ignore[arg-type]


def ignore(_: str) -> None:
    pass


@pytest.fixture
def made_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let published data sets need no files: they have 50 training and 30 test images, each filled with its index."""

    def load(published: PublishedDataset, source: DataSource, report: object) -> Arrays:
        images = published.images
        arrays = {}
        for part, count in (("train", 50), ("val", 30)):
            index = torch.arange(count, dtype=torch.uint8)
            arrays[f"{part}_images"] = index.view(-1, 1, 1, 1).expand(-1, images.channels, *images.size).clone()
            arrays[f"{part}_labels"] = (torch.arange(count) * 7) % len(images.classes)
        return arrays

    monkeypatch.setattr("alexplore.training.data.published.load_arrays", load)


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Two classes of five training images and two validation images each."""
    for part, count in (("train", 5), ("val", 2)):
        for label, name in enumerate(("cat", "dog")):
            (tmp_path / "pictures" / part / name).mkdir(parents=True)
            for i in range(count):
                color = (10 + 60 * label, 20 * i, 100)
                Image.new("RGB", (40, 30), color).save(tmp_path / "pictures" / part / name / f"{i}.png")
    return tmp_path / "pictures"


PUBLISHED = {name: entry.images for name, entry in DATASETS.items() if entry.images}


def test_every_declared_data_set_has_an_opener() -> None:
    assert OPENERS.keys() == DATASETS.keys()
    with pytest.raises(KeyError):
        open_dataset(config_of("nothing"), CPU, ignore)


@pytest.mark.parametrize("entry", DATASETS.values(), ids=lambda entry: entry.name)
def test_a_step_can_be_trained_on_every_data_set(made_arrays: None, image_folder: Path, entry: DatasetEntry) -> None:
    images = entry.images
    net = network(images.channels, 28, len(images.classes)) if images else network(3, 24, 2)
    source = DataSource(folder=str(image_folder) if entry.needs_folder else None)
    config = config_of(entry.name, net, source, batch_size=4)
    data = open_dataset(config, CPU, ignore)
    assert (data.name, data.channels, len(data.classes)) == (entry.name, net.input[0], net.classes)
    inputs, labels = next(data.train.batches(torch.arange(4), 4))
    model = build(net, seed=0)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = make_optimizer(config.recipe, model)
    loss, _ = Objective(model, config.recipe, Precision("fp32", CPU))(
        Preprocess(config.recipe, net.input, data, CPU).train(inputs, seed=0), labels
    )
    torch.autograd.backward(loss)
    update(optimizer)
    assert all(not torch.equal(*pair) for pair in zip(model.parameters(), before, strict=True))
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_data_is_on_the_device(made_arrays: None, name: str) -> None:
    known = PUBLISHED[name]
    messages: list[str] = []
    dataset = open_dataset(config_of(name, network(known.channels, 40, len(known.classes))), CPU, messages.append)
    assert (dataset.name, dataset.classes, dataset.channels) == (name, known.classes, known.channels)
    assert (len(dataset.train), len(dataset.val)) == (50, 30)
    assert not dataset.synthetic
    assert "resized to the network's" in messages[-1]
    order = torch.tensor([9, 4, 33, 2, 7])
    batches = list(dataset.train.batches(order, 2))
    assert [len(labels) for _, labels in batches] == [2, 2, 1]
    images = torch.cat([images for images, _ in batches])
    assert images.shape == (5, known.channels, *known.size)
    assert images[:, 0, 0, 0].tolist() == order.tolist()
    assert torch.cat([labels for _, labels in batches]).tolist() == [i * 7 % len(known.classes) for i in order.tolist()]
    assert [images[:, 0, 0, 0].tolist() for images, _ in dataset.train.batches(order, 2, skip=1)] == [[33, 2], [7]]
    assert list(dataset.train.batches(order, 2, skip=3)) == []


@pytest.mark.parametrize(
    ("dataset", "net", "words"),
    [
        (
            "fashion-mnist",
            network(classes=1000),
            "fashion-mnist has 10 classes, the network's last layer with weights fc has 1000 outputs: "
            "set its out_features to 10 (--classes 10)",
        ),
        (
            "fashion-mnist",
            network(channels=3, side=227),
            "images of fashion-mnist have 1 channel, the network reads 3: set input to 1×227×227 (--input 1x227x227)",
        ),
        (
            "cifar10",
            network(),
            "images of cifar10 have 3 channels, the network reads 1: set input to 3×28×28 (--input 3x28x28)",
        ),
    ],
)
def test_a_network_that_does_not_fit_is_refused_with_the_fix(dataset: str, net: Network, words: str) -> None:
    """Before any file is looked for."""
    with pytest.raises(DataError) as caught:
        open_dataset(config_of(dataset, net, DataSource(download=False)), CPU, ignore)
    assert str(caught.value) == words


def test_a_network_that_ends_in_a_convolution_is_checked_too() -> None:
    layers = [
        {"name": "conv", "type": "conv2d", "out_channels": 7, "kernel_size": 28},
        {"name": "flatten", "type": "flatten"},
    ]
    net = read_network({"input": [1, 28, 28], "layers": layers})
    with pytest.raises(DataError, match="conv has 7 outputs: set its out_channels to 10"):
        open_dataset(config_of("fashion-mnist", net), CPU, ignore)


def test_an_image_folder_is_checked_and_read(image_folder: Path) -> None:
    source = DataSource(folder=str(image_folder), limit_train=6, limit_val=2)
    dataset = open_dataset(
        config_of("imagefolder", network(3, 24, 2), source, resize=26, normalize="dataset"), CPU, ignore
    )
    assert dataset.classes == ("cat", "dog")
    assert torch.bincount(dataset.train.labels).tolist() == [3, 3]
    assert dataset.val.labels.tolist() == [0, 1]
    images, labels = next(dataset.train.batches(torch.arange(6), 6))
    assert images.shape == (6, 3, 26, 26)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.mean == pytest.approx((40 / 255, 20 / 255, 100 / 255), abs=1e-6)
    assert dataset.std == pytest.approx((30 / 255, 20 * (2 / 3) ** 0.5 / 255, 1), abs=1e-6)  # 1: all are equal


@pytest.fixture
def flat_folder(tmp_path: Path) -> Path:
    """Two classes of ten images each, without parts; green tells an image's number."""
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "flat" / name).mkdir(parents=True)
        for i in range(10):
            Image.new("RGB", (30, 30), (10 + 60 * label, 20 * i, 100)).save(tmp_path / "flat" / name / f"{i}.png")
    return tmp_path / "flat"


def test_what_a_run_held_out_stays_held_out_when_its_folder_grows(flat_folder: Path) -> None:
    config = config_of("imagefolder", network(3, 24, 2), DataSource(folder=str(flat_folder), val_share=0.3))
    first = open_dataset(config, CPU, ignore)
    assert (len(first.train), len(first.val), len(first.held_out)) == (14, 6, 6)
    trained_on = parse_trained_on(first.to_dict())
    assert trained_on is not None
    assert (trained_on.train, trained_on.val, trained_on.held_out) == (14, 6, first.held_out)
    for name in ("00", "01", "zz"):
        Image.new("RGB", (30, 30)).save(flat_folder / "cat" / f"{name}.png")
    (flat_folder / first.held_out[0]).unlink()
    (flat_folder / "Thumbs.db").write_text("")
    again = open_dataset(config, CPU, ignore, trained_on)
    assert (len(again.train), again.held_out) == (17, first.held_out[1:])
    assert again.notes == (f"{flat_folder}: left out: 1 file that is no picture (Thumbs.db)",)


def test_classes_are_matched_by_name_or_refused(flat_folder: Path) -> None:
    config = config_of("imagefolder", network(3, 24, 2), DataSource(folder=str(flat_folder)))
    backwards = open_dataset(config, CPU, ignore, TrainedOn(("dog", "cat")))
    assert backwards.classes == ("dog", "cat")
    order = torch.arange(len(backwards.train))
    images, labels = next(backwards.train.batches(order, len(order)))
    assert torch.equal(images[:, 0].float().mean((1, 2)) < 40, labels == 1)  # red tells the class
    (flat_folder / "cat").rename(flat_folder / "zebra")
    with pytest.raises(DataError, match=r"trained on \(cat, dog\): cat is missing and zebra is new. Rename"):
        open_dataset(config, CPU, ignore, TrainedOn(("cat", "dog")))


def test_test_images_are_labelled_by_the_names_of_their_classes(flat_folder: Path) -> None:
    data = DataSource(folder=str(flat_folder))
    config = config_of("imagefolder", network(3, 24, 3), data)
    messages: list[str] = []
    split = open_test_images(config, ("ant", "dog", "cat"), None, CPU, messages.append)
    assert torch.bincount(split.labels).tolist() == [0, 10, 10]
    assert messages == [f"{flat_folder} has images of 2 classes; 1 others that the network knows have none"]
    with pytest.raises(DataError, match="a class that the network was not trained on: cat; it knows ant, dog"):
        open_test_images(config, ("ant", "dog"), None, CPU, ignore)
    published = open_test_images(config, ("n1", "n2"), None, CPU, ignore, by_position=True)
    assert torch.bincount(published.labels).tolist() == [10, 10]


def test_a_run_is_evaluated_on_the_images_that_it_held_out(flat_folder: Path, tmp_path: Path) -> None:
    config = config_of("imagefolder", network(3, 24, 2), DataSource(folder=str(flat_folder)))
    trained_on = TrainedOn(("cat", "dog"), held_out=("cat/3.png", "dog/1.png", "dog/7.png"))
    for elsewhere in (False, True):
        split = open_test_images(config, trained_on.classes, trained_on, CPU, ignore, elsewhere=elsewhere)
        assert split.labels.tolist() == [0, 1, 1]
    other = TrainedOn(("cat", "dog"), held_out=("cat/3.png", "cat/a.png", "dog/b.png"))
    assert len(open_test_images(config, other.classes, other, CPU, ignore, elsewhere=True)) == 20


def test_an_image_folder_that_does_not_fit_is_refused(image_folder: Path) -> None:
    source = DataSource(folder=str(image_folder))
    with pytest.raises(DataError, match=r"has 2 classes, .* fc has 1000 outputs: set its out_features to 2"):
        open_dataset(config_of("imagefolder", network(3, 24, 1000), source), CPU, ignore)
    with pytest.raises(DataError, match="set input to 3×24×24"):
        open_dataset(config_of("imagefolder", network(2, 24, 2), source), CPU, ignore)
    with pytest.raises(DataError, match="--data DIR"):
        open_dataset(config_of("imagefolder", network(3, 24, 2)), CPU, ignore)


def test_one_channel_reads_an_image_folder_in_grey(image_folder: Path) -> None:
    dataset = open_dataset(
        config_of("imagefolder", network(1, 24, 2), DataSource(folder=str(image_folder))), CPU, ignore
    )
    images, _ = next(dataset.val.batches(torch.arange(4), 4))
    assert images.shape == (4, 1, 24, 24)


@pytest.mark.parametrize(("channels", "side", "classes"), [(1, 28, 10), (3, 40, 1000), (2, 5, 3)])
def test_synthetic_images_fit_any_network(channels: int, side: int, classes: int) -> None:
    messages: list[str] = []
    dataset = open_dataset(config_of("synthetic", network(channels, side, classes)), CPU, messages.append)
    assert dataset.synthetic
    assert dataset.name == "synthetic"
    assert len(dataset.classes) == classes
    assert "not real images" in messages[-1]
    assert set(dataset.train.labels.tolist()) == set(dataset.val.labels.tolist()) == set(range(classes))
    images, _ = next(dataset.train.batches(torch.arange(8), 8))
    made = Preprocess(Recipe(), (channels, side, side), dataset, CPU).test(images)
    assert made.shape == (8, channels, side, side)


def everything(split: ResidentSplit) -> tuple[torch.Tensor, torch.Tensor]:
    return next(split.batches(torch.arange(len(split)), len(split)))


def test_synthetic_images_are_reproducible_and_can_be_classified() -> None:
    one, other = (open_dataset(config_of("synthetic"), CPU, ignore) for _ in range(2))
    assert torch.equal(everything(one.train)[0], everything(other.train)[0])  # type: ignore[arg-type]
    images, labels = everything(one.train)  # type: ignore[arg-type]
    unseen, answers = everything(one.val)  # type: ignore[arg-type]
    assert not torch.equal(images[: len(unseen)], unseen)
    means = torch.stack([images[labels == i].float().mean(0).flatten() for i in range(10)])
    means -= means.mean(1, keepdim=True)
    guesses = (unseen.float().flatten(1) @ (means / means.norm(dim=1, keepdim=True)).T).argmax(1)
    assert (guesses == answers).float().mean() > 0.9


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(1, 70))
@examples(100)
def test_limits_take_the_classes_in_turn(labels: list[int], limit: int) -> None:
    chosen = choose_balanced(torch.tensor(labels), limit).tolist()
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(limit, len(labels))
    taken = {label: sum(labels[i] == label for i in chosen) for label in set(labels)}
    left = {label: labels.count(label) - taken[label] for label in taken}
    most = max(taken.values())
    assert all(taken[label] >= most - 1 or left[label] == 0 for label in taken)
    for label in taken:  # the first of each class
        assert [i for i in chosen if labels[i] == label] == [i for i, x in enumerate(labels) if x == label][
            : taken[label]
        ]


def test_limits_of_a_run_are_applied(made_arrays: None) -> None:
    dataset = open_dataset(config_of("fashion-mnist", data=DataSource(limit_train=20, limit_val=7)), CPU, ignore)
    assert torch.bincount(dataset.train.labels).tolist() == [2] * 10
    assert len(dataset.val) == 7
    again = open_dataset(config_of("fashion-mnist", data=DataSource(limit_train=500)), CPU, ignore)
    assert len(again.train) == 50


def test_a_crop_larger_than_its_image_is_refused_before_loading() -> None:
    config = config_of("fashion-mnist", network(side=40))
    config = dataclasses.replace(config, recipe=Recipe(resize=30, random_crop=True))
    with pytest.raises(DataError, match="set resize to 40 or more"):
        open_dataset(config, CPU, ignore)
