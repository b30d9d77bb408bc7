"""The shipped presets come to what their sources, and PyTorch, come to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from alexplore.network.analysis import Analysis, analyse
from alexplore.presets.library import is_shipped, load_preset, shipped_names
from alexplore.training.model.build import build

# Parameters, running statistics, MACs: hand-written arithmetic, and the layers run in PyTorch.
TOTALS = {
    "paper": (60_965_224, 0, 724_406_816),
    "paper-release": (60_965_224, 0, 724_406_816),
    "one-gpu": (62_378_344, 0, 1_135_256_096),
    "one-gpu-sequential": (62_378_344, 0, 1_135_256_096),
    "torchvision": (61_100_840, 0, 714_188_480),
    "keras-bn": (28_056_616, 19_136, 1_039_559_808),
    "fmnist": (46_764_746, 0, 938_146_176),
    "fmnist-valid": (46_764_746, 0, 938_146_176),
    "fmnist-fast": (288_170, 896, 29_128_448),
    "cifar10-relu": (89_578, 0, 12_298_240),
    "cifar10-tanh": (89_578, 0, 12_298_240),
    "lenet": (61_706, 0, 416_520),
    "vgg16": (138_357_544, 0, 15_470_264_320),
    "resnet18": (11_689_512, 9_600, 1_814_073_344),
    "squeezenet1_1": (1_235_496, 0, 349_151_936),
    "googlenet": (6_624_904, 14_560, 1_498_376_192),
    "nin": (966_986, 0, 222_486_528),
    "zfnet": (62_357_608, 0, 1_168_032_896),
}
PAPER_SHAPES = "96×55×55 96×27×27 256×27×27 256×13×13 384×13×13 384×13×13 256×13×13 256×6×6 4096 4096 1000"
FMNIST_SHAPES = "96×54×54 96×26×26 256×26×26 256×12×12 384×12×12 384×12×12 256×12×12 256×5×5 4096 4096 10"
SHAPES = {
    "paper": PAPER_SHAPES,
    "paper-release": PAPER_SHAPES,
    "one-gpu": PAPER_SHAPES,
    "one-gpu-sequential": PAPER_SHAPES,
    "torchvision": "64×55×55 64×27×27 192×27×27 192×13×13 384×13×13 256×13×13 256×13×13 256×6×6 256×6×6 4096 4096 1000",
    "keras-bn": "96×54×54 96×27×27 256×17×17 256×8×8 384×6×6 384×4×4 256×2×2 256×1×1 4096 4096 1000",
    "fmnist": FMNIST_SHAPES,
    "fmnist-valid": FMNIST_SHAPES,
    "fmnist-fast": "32×28×28 32×28×28 32×14×14 64×14×14 64×14×14 64×7×7 128×7×7 128×7×7 128×3×3 128×1×1 10",
    "cifar10-relu": "32×32×32 32×16×16 32×16×16 32×8×8 64×8×8 64×4×4 10",
    "cifar10-tanh": "32×32×32 32×16×16 32×16×16 32×8×8 64×8×8 64×4×4 10",
    "lenet": "6×28×28 6×14×14 16×10×10 16×5×5 120 84 10",
    "nin": "192×32×32 160×32×32 96×32×32 96×16×16 192×16×16 192×16×16 192×16×16 192×8×8 192×8×8 192×8×8 10×8×8 10×1×1",
    "zfnet": "96×110×110 96×55×55 256×26×26 256×13×13 384×13×13 384×13×13 256×13×13 256×6×6 4096 4096 1000",
}
PARAMETERS = {
    "paper": [34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000],
    "torchvision": [23_296, 307_392, 663_936, 884_992, 590_080, 37_752_832, 16_781_312, 4_097_000],
}


def analysed(name: str) -> Analysis:
    return analyse(load_preset(name).network)


@pytest.mark.parametrize("name", TOTALS)
def test_totals(name: str) -> None:
    totals = analysed(name).totals
    assert (totals.params, totals.buffers, totals.macs) == TOTALS[name]
    assert totals.flops == 2 * totals.macs
    assert totals.weight_bytes == 4 * totals.params


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name: str) -> None:
    rows = analysed(name).rows
    shapes = [row.output for row in rows if row.layer.neurons or "pool" in row.layer.type]
    assert ["×".join(map(str, shape or ())) for shape in shapes] == SHAPES[name].split()


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_by_layer(name: str) -> None:
    assert [row.params for row in analysed(name).rows if row.params] == PARAMETERS[name]


def test_every_shipped_preset_reads_and_says_where_it_is_from() -> None:
    assert set(shipped_names()) >= {*TOTALS, "fmnist-28"}
    for name in shipped_names():
        preset = load_preset(name)
        assert analyse(preset.network).broken is None
        assert is_shipped(preset) and preset.title and preset.family and preset.source and preset.description


def nin() -> nn.Module:
    """Return Network in Network as its authors' file for cuda-convnet lists it, whose pools round sizes up."""

    def convolutions(channels: int, kernel: int, *widths: int) -> list[nn.Module]:
        found: list[nn.Module] = []
        for index, width in enumerate(widths):
            size = kernel if index == 0 else 1
            found += [nn.Conv2d(channels, width, size, padding=size // 2), nn.ReLU()]
            channels = width
        return found

    return nn.Sequential(
        *convolutions(3, 5, 192, 160, 96),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Dropout(0.5),
        *convolutions(96, 5, 192, 192, 192),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Dropout(0.5),
        *convolutions(192, 3, 192, 192, 10),
        nn.AvgPool2d(8, 1),
        nn.Flatten(),
        nn.Softmax(dim=1),
    )


def zfnet() -> nn.Module:
    """Return figure 3 of Zeiler & Fergus."""
    return nn.Sequential(
        *(nn.Conv2d(3, 96, 7, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), alexnet_norm()),
        *(nn.Conv2d(96, 256, 5, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), alexnet_norm()),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten()),
        *(nn.Linear(6 * 6 * 256, 4096), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(4096, 1000),
    )


def alexnet_norm() -> nn.Module:
    """Return AlexNet's local response norm: PyTorch divides alpha by the size, the paper does not."""
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)


@pytest.mark.parametrize("theirs", [nin, zfnet])
def test_networks_that_torchvision_has_not(theirs: Callable[[], nn.Module]) -> None:
    """Every output shape and the state_dict on the meta device, MACs as half of PyTorch's count of operations."""
    network = load_preset(theirs.__name__).network
    with torch.device("meta"):
        module, images = theirs().eval(), torch.empty(1, *network.input)
        ours = build(network).state_dict()
    shapes = []
    with FlopCounterMode(display=False) as counter:
        for layer in module.children():
            images = layer(images)
            shapes.append(tuple(images.shape[1:]))
    analysis = analyse(network)
    assert [row.output for row in analysis.rows] == shapes
    assert 2 * analysis.totals.macs == counter.get_total_flops()
    assert [tensor.shape for tensor in ours.values()] == [tensor.shape for tensor in module.state_dict().values()]


@pytest.mark.usefixtures("heavy")
def test_outputs_of_nin_with_the_same_weights() -> None:
    theirs, ours = nin().eval(), build(load_preset("nin").network).eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


def test_receptive_fields_and_smallest_input_of_torchvision() -> None:
    analysis = analysed("torchvision")
    pool5 = next(row for row in analysis.rows if row.layer.name == "pool5")
    assert (pool5.height.size, pool5.width.size, pool5.height.jump) == (195, 195, 32)
    assert analysis.smallest_input() == (3, 63, 63)
    assert analyse(analysis.network.with_input(3, 10, 20)).smallest_input() == (3, 63, 63)
    assert analyse(analysis.network.with_input(1, 10, 20).change(0, {"in_channels": 3})).smallest_input() is None


def test_neurons_and_connections_of_the_paper() -> None:
    """Connections as the tutorial counts them: (kernel area × channels of a group + 1) × kernels × map size."""
    analysis = analysed("paper")
    rows = {row.layer.name: row for row in analysis.rows}
    assert analysis.totals.neurons == 659_272
    assert rows["conv1"].connections == (11 * 11 * 3 + 1) * 96 * 55 * 55
    assert rows["conv2"].connections == 2 * (5 * 5 * 48 + 1) * 128 * 27 * 27
    assert rows["conv3"].connections == (3 * 3 * 256 + 1) * 384 * 13 * 13
    assert rows["fc8"].connections == (4096 + 1) * 1000
    assert analysis.totals.connections == sum(row.connections for row in analysis.rows)


def test_towers_exchange_where_the_paper_says() -> None:
    exchanges = {row.layer.name: row.exchange_bytes for row in analysed("paper").rows if row.exchange_bytes}
    assert exchanges == {"conv3": 4 * 256 * 13 * 13, "fc6": 4 * 9216, "fc7": 4 * 4096, "fc8": 4 * 4096}
    network = load_preset("paper").network
    assert analyse(network.with_towers(1)).totals.exchange_bytes == 0
    # Every tower's share goes to each of the others.
    assert analyse(network.with_towers(4)).totals.exchange_bytes == 3 * sum(exchanges.values())


@pytest.mark.parametrize(
    ("preset", "quantities"),
    [
        ("paper", {"optimizer": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "batch_size": 128}),
        ("paper", {"schedule": "plateau", "gamma": 0.1, "reductions": 3, "color_noise": 0.1, "resize": 256}),
        ("paper-release", {"bias_lr": 2.0, "lr": 0.01}),
        ("fmnist", {"optimizer": "adam", "lr": 0.001, "batch_size": 128, "epochs": 10}),
        ("fmnist-valid", {"optimizer": "adam", "lr": 0.001, "batch_size": 128, "epochs": 5}),
        ("cifar10-relu", {"weight_decay": 0.0, "dataset": "cifar10"}),
    ],
)
def test_recipes(preset: str, quantities: dict[str, object]) -> None:
    recipe = load_preset(preset).recipe.to_dict()
    assert {key: recipe[key] for key in quantities} == quantities


def test_initial_weights_of_the_paper() -> None:
    network = load_preset("paper").network
    begins = {layer.name: layer.initial_weights for layer in network.layers if layer.neurons}
    assert {init.std for init in begins.values() if init} == {0.01}
    assert [name for name, init in begins.items() if init and init.bias == 1] == [
        "conv2",
        "conv4",
        "conv5",
        "fc6",
        "fc7",
    ]
    release = load_preset("paper-release").network
    stds = {layer.name: layer.settings()["init"]["std"] for layer in release.layers if layer.neurons}
    assert [name for name, std in stds.items() if std == 0.03] == ["conv3", "conv4", "conv5"]
