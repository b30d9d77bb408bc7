"""Compare layers on the device with the same layers on the CPU: outputs and all gradients, in fp32 without TF32."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from alexplore.core.settings import SettingError
from alexplore.network.graph import Network, read_network
from alexplore.network.layers import EDITABLE_TYPES
from alexplore.training.kernels.table import choose_kernels
from alexplore.training.model.build import build
from gpu_checks.backend import plain_fp32
from gpu_checks.bench import Bench, Check, Outcome, at_most, attempt, expect

Settings = Mapping[str, Any]

IMAGES = 6
MAP = (8, 9, 11)  # the input of an example: channels, height, width
LIMIT = 1e-4
"""Limit of ‖device − CPU‖ / ‖CPU‖ for each tensor. Sums in another order differ by 1e-7 to 1e-5, TF32 by about 3e-4."""
RANDOM_IMAGES, MEAN_LIMIT = 2048, 0.1
"""The mean of this many values, 0 or 2, differs from 1 by 0.01 if whole channels are zeroed, else by less."""
HALF_LIMITS = {torch.bfloat16: 2e-2, torch.float16: 3e-3}
"""The error of at most four roundings to 8 or 11 significant bits."""

FLATTEN: Settings = {"name": "flatten", "type": "flatten"}
BRANCHES: tuple[Settings, ...] = (
    {"name": "left", "type": "relu"},
    {"name": "right", "type": "tanh", "inputs": ["input"]},
)
EXAMPLES: Mapping[str, tuple[Settings, ...]] = {
    "conv2d": ({"out_channels": 6, "kernel_size": 3, "padding": 1},),
    "max_pool2d": ({"kernel_size": 3, "stride": 2},),
    "avg_pool2d": ({"kernel_size": 3, "stride": 2, "padding": 1},),
    "adaptive_avg_pool2d": ({"output_size": [3, 4]},),
    "adaptive_max_pool2d": ({"output_size": [3, 4]},),
    "local_response_norm": ({"size": 5, "alpha": 0.5},),
    "group_norm": ({"num_groups": 4},),
    "linear": (FLATTEN, {"out_features": 7}),
    "softmax": (FLATTEN, {}),
    "unflatten": (FLATTEN, {"unflattened_size": MAP}),
    **{kind: (*BRANCHES, {"inputs": ["left", "right"]}) for kind in ("add", "concat", "mul")},
}
"""An example of a layer type: the layers that it reads, then its own settings.

A type without an entry is checked with its default settings, on maps.
"""

CONVOLUTIONS: Mapping[str, Settings] = {
    "plain": {"kernel_size": 3, "padding": 1},
    "1×1": {"kernel_size": 1},
    "11×11, stride 4, as AlexNet's first": {"kernel_size": 11, "stride": 4, "padding": 2},
    "stride 2×3": {"kernel_size": 3, "stride": [2, 3]},
    "kernel 3×5, padding 1×2": {"kernel_size": [3, 5], "padding": [1, 2]},
    "dilation 2": {"kernel_size": 3, "padding": 2, "dilation": 2},
    "2 groups": {"kernel_size": 5, "padding": 2, "groups": 2},
    "2 groups of many channels": {"kernel_size": 3, "padding": 1, "groups": 2},
    "depthwise": {"kernel_size": 3, "padding": 1, "groups": 8, "out_channels": 16},
    "asymmetric padding": {"kernel_size": 4, "padding": [1, 2, 0, 3]},
    "padding same": {"kernel_size": 4, "padding": "same"},
    "padding same, stride 3": {"kernel_size": 5, "stride": 3, "padding": "same"},
    "padding same, 2 groups, dilation 2": {"kernel_size": 4, "padding": "same", "groups": 2, "dilation": 2},
    "without bias": {"kernel_size": 3, "bias": False},
    "frozen": {"kernel_size": 3, "trainable": False},
}

CONV: Settings = {"name": "conv", "type": "conv2d", "out_channels": 16, "kernel_size": 3}
RELU: Settings = {"name": "relu", "type": "relu"}
POOL: Settings = {"name": "pool", "type": "max_pool2d", "kernel_size": 3, "stride": 2}
COMBINED: Mapping[str, tuple[Settings, ...]] = {
    "relu": (CONV, RELU),
    "relu and max pool": (CONV, RELU, POOL),
    "relu and a padded max pool that rounds up": (CONV, RELU, {**POOL, "padding": 1, "ceil_mode": True}),
    "relu and max pool, without bias": ({**CONV, "bias": False}, RELU, POOL),
    "relu and max pool of 6 channels": ({**CONV, "out_channels": 6}, RELU, POOL),
    "relu and max pool of 50 channels": ({**CONV, "out_channels": 50}, RELU, POOL),
    "relu and max pool of a frozen convolution": ({**CONV, "trainable": False}, RELU, POOL),
}
"""Layers that are computed in one pass."""

IN_BLOCKS: Mapping[str, tuple[tuple[int, int, int], Settings]] = {
    "torchvision's first": ((3, 64, 64), {"kernel_size": 11, "stride": 4, "padding": 2}),
    "fmnist's first": ((1, 64, 64), {"kernel_size": 11, "stride": 4, "padding": 1}),
    "resnet18's first": ((3, 40, 44), {"kernel_size": 7, "stride": 2, "padding": 3}),
}
"""Convolutions of few channels with a stride, and their inputs."""

LRNS: Mapping[str, Settings] = {
    "size 5": {"size": 5},
    "size 4": {"size": 4},
    "size 5, 2 groups": {"size": 5, "groups": 2},
    "size 3, 4 groups": {"size": 3, "groups": 4},
    "more neighbours than channels": {"size": 11, "k": 2.0},
    "beta 0.5, k 2": {"size": 5, "beta": 0.5, "k": 2.0},
    "within channel, 3×3": {"size": 3, "region": "within_channel"},
    "within channel, 4×4": {"size": 4, "region": "within_channel"},
}

BATCH_NORMS: Mapping[str, Settings] = {
    "training": {},
    "momentum 0.3": {"momentum": 0.3},
    "without scale and shift": {"affine": False},
    "frozen": {"trainable": False},
}


@dataclass(frozen=True)
class Passes:
    """The tensors of a forward and a backward pass over a model, by name, and the model."""

    tensors: Mapping[str, Tensor]
    model: nn.Module


def run_layers(bench: Bench) -> Outcome:
    """Check each layer type of the registry."""
    device = torch.device(bench.device)
    checks = attempt({kind: partial(_check_layer_type, kind, device) for kind in EDITABLE_TYPES})
    return Outcome(checks, {"layer_types": list(EDITABLE_TYPES)})


def run_convolutions(bench: Bench) -> Outcome:
    """Check the variants of convolutions."""
    device = torch.device(bench.device)
    networks = {
        name: one_layer("conv2d", {"out_channels": 6, **settings}, (32 if "many channels" in name else 8, 17, 19))
        for name, settings in CONVOLUTIONS.items()
    }
    networks |= {
        name: read_network({"input": [8, 17, 19], "layers": list(layers)}) for name, layers in COMBINED.items()
    }
    networks |= {
        name: one_layer("conv2d", {"out_channels": 6, **settings}, shape)
        for name, (shape, settings) in IN_BLOCKS.items()
    }
    checks: dict[str, Callable[[], Check]] = {
        name: partial(compare, name, one, device) for name, one in networks.items()
    }
    for name in IN_BLOCKS:  # of images, whose blocks are made by a kernel of their own
        images = f"{name}, of images"
        checks[images] = partial(compare, images, networks[name], device, of_images=True)
    return Outcome(attempt(checks))


def run_lrn(bench: Bench) -> Outcome:
    """Check the variants of local response normalisation, channels last and first in memory, and in 16 bits."""
    device = torch.device(bench.device)
    checks: dict[str, Callable[[], Check]] = {}
    for name, settings in LRNS.items():
        network = one_layer("local_response_norm", {"alpha": 0.5, **settings}, MAP)
        checks[name] = partial(compare, name, network, device)
        first = f"{name}, channels first"
        checks[first] = partial(compare, first, network, device, layout=torch.contiguous_format)
        for dtype in HALF_LIMITS:
            half = f"{name}, {str(dtype).removeprefix('torch.')}"
            checks[half] = partial(compare_half, half, network, device, dtype)
    return Outcome(attempt(checks))


def run_batch_norm(bench: Bench) -> Outcome:
    """Check batch norm over maps and vectors: in training, in evaluation and frozen, with its statistics."""
    device = torch.device(bench.device)
    checks: dict[str, Callable[[], Check]] = {
        "frozen batch norm keeps its statistics": partial(_check_frozen_batch_norm, device)
    }
    for name, settings in BATCH_NORMS.items():
        for where, before in (("maps", ()), ("vectors", (FLATTEN,))):
            network = one_layer("batch_norm", settings, MAP, before)
            for mode, training in (("", True), (", in evaluation", False)):
                full = f"{name}, {where}{mode}"
                checks[full] = partial(compare, full, network, device, training=training)
    return Outcome(attempt(checks))


def one_layer(kind: str, settings: Settings, shape: tuple[int, int, int], before: tuple[Settings, ...] = ()) -> Network:
    """Return a network of the layers `before` and one layer of a type."""
    return read_network({"input": list(shape), "layers": [*before, {"name": "layer", "type": kind, **settings}]})


def example_of(kind: str) -> Network:
    """Return the example network of a layer type.

    Raises:
        LookupError: a setting without a default is not in `EXAMPLES`.
    """
    *before, settings = EXAMPLES.get(kind, ({},))
    try:
        return one_layer(kind, settings, MAP, tuple(before))
    except SettingError as error:
        raise LookupError(f"{error}; give {kind} an entry in EXAMPLES of {__name__}") from None


def compare(
    name: str,
    network: Network,
    device: torch.device,
    *,
    training: bool = True,
    layout: torch.memory_format = torch.channels_last,
    of_images: bool = False,
) -> Check:
    """Check a forward and a backward pass in fp32: the output and all gradients and statistics against the CPU's.

    `of_images` leaves out the gradient of the input.
    """
    with plain_fp32():
        reference, found = (
            passes(network, place, training=training, layout=layout, of_images=of_images)
            for place in (torch.device("cpu"), device)
        )
    return _compared(name, found.tensors, reference.tensors, LIMIT)


def compare_half(name: str, network: Network, device: torch.device, dtype: torch.dtype) -> Check:
    """Check a layer that reads 16-bit values on the device against the same values in fp32 on the CPU."""
    with plain_fp32():
        reference = passes(network, torch.device("cpu"), rounded_to=dtype)
        found = passes(network, device, dtype=dtype, rounded_to=dtype)
    return _compared(name, found.tensors, reference.tensors, HALF_LIMITS[dtype])


def passes(
    network: Network,
    device: torch.device,
    *,
    training: bool = True,
    layout: torch.memory_format = torch.channels_last,
    dtype: torch.dtype = torch.float32,
    rounded_to: torch.dtype = torch.float32,
    of_images: bool = False,
    seed: int = 0,
) -> Passes:
    """Run a network of random weights forward and backward over random images; equal arguments give equal ones."""
    model = build(network, seed=1, kernels=choose_kernels(device.type)).to(device).train(training)
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(IMAGES, *network.input, generator=generator).to(rounded_to)
    inputs = images.to(device, dtype).contiguous(memory_format=layout).requires_grad_(not of_images)
    torch.manual_seed(seed)
    output = model(inputs)
    gradient = torch.randn(output.shape, generator=generator).to(rounded_to)
    output.backward(gradient.to(device, dtype))
    tensors = {"output": output, "gradient of the input": inputs.grad}
    tensors |= {f"gradient of {name}": value.grad for name, value in model.named_parameters()}
    tensors |= {name: value.to(torch.float32) for name, value in model.named_buffers()}
    return Passes({name: value.detach().cpu() for name, value in tensors.items() if value is not None}, model)


def relative_difference(found: Tensor, reference: Tensor) -> float:
    """Return ‖found − reference‖ / ‖reference‖, in float64."""
    found, reference = found.double(), reference.double()
    return float((found - reference).norm() / reference.norm().clamp(min=1e-30)) if reference.numel() else 0.0


def _compared(name: str, found: Mapping[str, Tensor], reference: Mapping[str, Tensor], limit: float) -> Check:
    if found.keys() != reference.keys():
        return expect(name, False, f"other tensors than on the CPU: {sorted(found.keys() ^ reference.keys())}")
    differences = {key: relative_difference(found[key], reference[key]) for key in reference}
    worst = max(differences, key=lambda key: differences[key] if differences[key] == differences[key] else float("inf"))
    return at_most(name, differences[worst], limit, f"largest for {worst}")


def _check_layer_type(kind: str, device: torch.device) -> Iterator[Check]:
    network = example_of(kind)
    yield compare(f"{kind}, in evaluation", network, device, training=False)
    cpu = torch.device("cpu")
    one, other = (passes(network, cpu, seed=seed).tensors["output"] for seed in (0, 1))
    yield compare(kind, network, device) if torch.equal(one, other) else _check_random_layer(kind, network, device)


def _check_random_layer(kind: str, network: Network, device: torch.device) -> Check:
    """Check a random layer: ones become 0 or one other number, by which gradients are scaled too."""
    model = build(network, kernels=choose_kernels(device.type)).to(device).train()
    inputs = torch.ones(RANDOM_IMAGES, *network.input, device=device, requires_grad=True)
    output = model(inputs)
    output.backward(torch.ones_like(output))
    assert inputs.grad is not None
    values = output.detach()
    kept = values[values != 0]
    same = torch.equal(values, inputs.grad) and bool((kept == kept[0]).all())
    mean = float(values.mean())
    return expect(
        kind, same and abs(mean - 1) < MEAN_LIMIT, f"random: ones become 0 or {float(kept[0]):g}, mean {mean:.3f}"
    )


def _check_frozen_batch_norm(device: torch.device) -> Check:
    network = one_layer("batch_norm", {"trainable": False}, MAP)
    before = copy.deepcopy(dict(build(network).named_buffers()))
    after = {name: value.cpu() for name, value in passes(network, device).model.named_buffers()}
    kept = all(torch.equal(before[name], value) for name, value in after.items())
    return expect("frozen batch norm keeps its statistics", kept)
