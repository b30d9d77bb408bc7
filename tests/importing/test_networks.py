"""Modules as networks: the numbers of PyTorch's module, and with its weights its outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from alexplore.importing.mapping import Imported, import_trace
from alexplore.importing.tracing import Input, Trace, trace_file, trace_module
from alexplore.importing.weights import layer_tensors
from alexplore.network.analysis import analyse
from alexplore.network.graph import read_network
from alexplore.network.layers.base import Unsupported
from alexplore.network.layers.local_response_norm import LocalResponseNorm
from alexplore.network.layers.opaque import Opaque
from alexplore.presets.library import load_preset
from alexplore.training.model.build import build
from tests.importing import people
from tests.support.exported import torch_models
from tests.support.layers import INPUT, Case, layer_cases


def imported(module: nn.Module, input: Input | None) -> tuple[Trace, Imported]:
    trace = trace_module(module.eval(), input, "it")
    return trace, import_trace(trace, "it")


def check_numbers(module: nn.Module, found: Imported) -> None:
    """Check parameters, output and MACs against the module's."""
    analysis = analyse(found.network)
    assert analysis.broken is None
    assert read_network(found.network.to_dict()) == found.network
    images = torch.zeros(1, *found.network.input, device=next(module.parameters()).device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        output = module(images)
    counts = {str(operator): flops for operator, flops in counter.get_flop_counts()["Global"].items()}
    by_weights = sum(flops for operator, flops in counts.items() if operator in BY_WEIGHTS)
    assert set(counts) <= BY_WEIGHTS | BETWEEN_ACTIVATIONS
    assert analysis.totals.params == sum(parameter.numel() for parameter in module.parameters())
    assert analysis.output == tuple(output.shape[1:])
    assert 2 * analysis.totals.macs == by_weights


BY_WEIGHTS = {"aten.convolution", "aten.addmm", "aten.mm"}
BETWEEN_ACTIVATIONS = {"aten.bmm"} | {
    f"aten._scaled_dot_product_{kind}" for kind in ("flash_attention_for_cpu", "flash_attention", "efficient_attention")
}


def check_outputs(module: nn.Module, trace: Trace, found: Imported) -> None:
    """Check the outputs of the network that is built, with the module's weights."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.2 + 0.05 * (tensor.dim() < 2))
        model = build(found.network).eval()
        model.load_state_dict(layer_tensors(found, trace.state))
        images = torch.rand(3, *found.network.input, generator=generator)
        torch.testing.assert_close(model(images), module(images), rtol=1e-5, atol=1e-5)


TUTORIALS: Mapping[str, Callable[[], nn.Module]] = {
    "one-gpu": people.Functional,
    "one-gpu-sequential": people.sequential,
    "fmnist": people.TwoParts,
    "fmnist-valid": lambda: people.TwoParts(padding=0),
}


@pytest.mark.parametrize("preset", TUTORIALS)
def test_tutorials(preset: str) -> None:
    """The size of their images is found by trying."""
    with torch.device("meta"):
        module = TUTORIALS[preset]()
    _, found = imported(module, None)
    expected = load_preset(preset).network
    assert analyse(found.network).totals == analyse(expected).totals
    assert found.network.input == expected.input
    assert [(layer.type, layer.settings()) for layer in found.network.layers] == [
        (layer.type, {key: value for key, value in layer.settings().items() if key != "init"})
        for layer in expected.layers
    ]
    assert found.warnings == ()


@pytest.mark.parametrize("make", [people.Residual, people.Squeezed, people.Dense, people.Norms])
def test_networks_of_known_operators(make: type[nn.Module]) -> None:
    torch.manual_seed(1)
    module = make()
    trace, found = imported(module, (3, 16, 20))
    assert found.warnings == ()
    check_numbers(module, found)
    check_outputs(module, trace, found)


def test_a_network_by_settings_whose_answer_is_a_dictionary() -> None:
    module = people.Configured().eval()
    trace, found = imported(module, (3, 16, 20))
    assert [layer.type for layer in found.network.layers] == [
        *("conv2d", "batch_norm", "relu", "max_pool2d"), *("conv2d", "batch_norm", "relu"),
        *("conv2d", "conv2d", "add"), *("flatten", "linear"),
    ]  # fmt: skip
    assert found.warnings == ()
    images = torch.rand(3, 3, 16, 20, generator=torch.Generator().manual_seed(1))
    model = build(found.network).eval()
    model.load_state_dict(layer_tensors(found, trace.state))
    with torch.no_grad():
        torch.testing.assert_close(model(images), module(images)["logits"], rtol=1e-5, atol=1e-5)


def test_names_and_graph() -> None:
    _, found = imported(people.Residual(), (3, 32, 32))
    network = found.network
    names = [layer.name for layer in network.layers]
    assert names[:8] == [
        "stem", "blocks_0_conv1", "blocks_0_bn1", "blocks_0_relu1", "blocks_0_conv2", "blocks_0_bn2", "blocks_0_add",
        "blocks_0_relu2",
    ]  # fmt: skip
    assert network.source_names(network.index("blocks_0_add")) == ("blocks_0_bn2", "stem")
    assert network.source_names(network.index("blocks_1_shortcut_0")) == ("blocks_0_relu2",)
    assert names[-3:] == ["flatten", "linear", "log_softmax"]


def test_normalisations() -> None:
    _, found = imported(people.Norms(), (3, 32, 32))
    norms = [layer for layer in found.network.layers if isinstance(layer, LocalResponseNorm)]
    assert [(norm.size, norm.region, norm.alpha, norm.k) for norm in norms] == [
        (4, "across_channels", 1e-2, 2.0),
        (5, "across_channels", 1e-2, 1.0),
        (3, "within_channel", 1e-2, 1.0),
        (3, "across_channels", 0.1, 1.0),
    ]


def test_what_no_layer_type_describes_is_opaque() -> None:
    module = people.Shared()
    _, found = imported(module, (3, 16, 16))
    check_numbers(module, found)
    rows = {row.layer.name: row for row in analyse(found.network).rows}
    opaque = {name: row for name, row in rows.items() if row.layer.recorded}
    assert list(opaque) == ["conv2", "permute", "mul", "unused"]
    assert [row.output for row in opaque.values()] == [(3, 8, 8), (8, 8, 3), (10,), (10,)]
    assert [row.params for row in opaque.values()] == [0, 0, 10, 7 * 5 + 5]
    assert opaque["conv2"].macs == rows["conv1"].macs == 3 * 3 * 3 * 3 * 8 * 8
    warning, advice = found.warnings
    assert advice == "unused only holds parameters that the output does not depend on: it can be removed"
    assert "4 of 10 layers are opaque" in warning and "permute" in warning
    with pytest.raises(Unsupported, match=r"conv2 is opaque: conv2d of an imported model .* conv\.weight"):
        build(found.network)


def numbers(module: nn.Module) -> tuple[int, int]:
    """Return the numbers of all parameters and of those that are trainable."""
    parameters = list(module.parameters())
    return sum(one.numel() for one in parameters), sum(one.numel() for one in parameters if one.requires_grad)


@pytest.mark.parametrize("way", ["in memory", "without memory", "saved"])
def test_a_parameter_with_several_names_counts_once(way: str, tmp_path: Path) -> None:
    with torch.device("meta" if way == "without memory" else "cpu"):
        module = people.Tied().eval()
    trace = trace_module(module, (3, 8, 8), "it")
    if way == "saved":
        torch.export.save(trace.program, tmp_path / "net.pt2")
        trace = trace_file(tmp_path / "net.pt2", "net.pt2")
    found = import_trace(trace, "it")
    totals = analyse(found.network).totals
    assert (totals.params, totals.trainable_params) == numbers(module)
    assert [layer.type for layer in found.network.layers] == [
        "conv2d", "batch_norm", "relu", "adaptive_avg_pool2d", "flatten", "linear", "opaque", "opaque",
    ]  # fmt: skip
    assert found.network.layers[-1].name == "unused" and not found.network.layers[-1].trains


class WeightsFromImages(nn.Module):
    """Its linear operator and its layer norm have weights that depend on the images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        pixels = self.conv(images).mean((2, 3))
        likeness = F.linear(pixels, pixels)
        return F.layer_norm(likeness, likeness.shape[1:], likeness.mean(0))


def test_an_operator_whose_weights_depend_on_the_images_is_opaque() -> None:
    _, found = imported(WeightsFromImages(), (3, 9, 9))
    reasons = {layer.name: layer.reason for layer in found.network.layers if isinstance(layer, Opaque)}
    assert reasons["linear"] == reasons["layer_norm"] == "its weights are calculated from the images"


def test_names_of_modules_become_names_of_layers() -> None:
    module = nn.Sequential()
    for name in ("block-1", "größe", "class", "0", "a b"):
        module.add_module(name, nn.Conv2d(3, 3, 1))
    _, found = imported(module, (3, 8, 8))
    check_numbers(module, found)
    assert [layer.name for layer in found.network.layers] == ["block_1", "gr_e", "class_layer", "conv0", "a_b"]


def test_frozen_parameters_are_frozen() -> None:
    module = people.Residual()
    module.stem.requires_grad_(False)
    _, found = imported(module, (3, 16, 16))
    totals = analyse(found.network).totals
    assert totals.params - totals.trainable_params == 16 * (3 * 3 * 3 + 1)


NOT_RECOGNISED = {
    "local_response_norm-groups=2", "local_response_norm-region=within_channel", "avg_pool2d-padding=same",
}  # fmt: skip
"""Cases that exported code computes in a class of its own."""

RESHAPING = ("flatten", "unflatten")
"""Types that are left out where a map made of a vector is made a vector again."""

CASES = [case for case in layer_cases() if not case.cls.recorded and str(case) not in NOT_RECOGNISED]


@pytest.mark.usefixtures("heavy")  # all of them take a minute
@pytest.mark.parametrize("case", CASES, ids=map(str, CASES))
def test_every_layer_type_is_recognised(case: Case) -> None:
    """The code that is exported comes back as a network with its numbers and, with its weights, its outputs."""
    theirs, ours = torch_models(case.preset)
    trace, found = imported(theirs, (INPUT[0], INPUT[1], INPUT[2]))
    assert found.warnings == ()
    before, after = analyse(case.network), analyse(found.network)
    assert after.totals._replace(activation_bytes=0) == before.totals._replace(activation_bytes=0)
    assert after.output == before.output
    if "None" not in str(case.settings):
        assert [layer.type for layer in found.network.layers if layer.type not in RESHAPING] == [
            layer.type for layer in case.network.layers if layer.type not in RESHAPING
        ]
    images = torch.randn(2, *INPUT, generator=torch.Generator().manual_seed(3))
    model = build(found.network).eval()
    model.load_state_dict(layer_tensors(found, trace.state))
    with torch.no_grad():
        torch.testing.assert_close(model(images), ours.eval()(images), rtol=1e-5, atol=1e-5)


def torchvision_names() -> list[str]:
    from torchvision import models  # type: ignore[import-untyped]

    return list(models.list_models(module=models))


SOME = ("alexnet", "resnet18", "mobilenet_v3_small", "googlenet", "shufflenet_v2_x0_5", "vit_b_32", "swin_v2_t")
SHARES = 12
WITHOUT_OPAQUE = ("alexnet", "resnet18", "mobilenet_v3_small")


def check_torchvision(name: str) -> None:
    from alexplore.importing.loading import load_module

    module = load_module(f"torchvision:{name}", with_weights=False)
    _, found = imported(module, (3, 224, 224))
    check_numbers(module, found)
    assert not (name in WITHOUT_OPAQUE and found.warnings)


@pytest.mark.usefixtures("heavy")
@pytest.mark.parametrize("name", SOME)
def test_some_of_torchvision(name: str) -> None:
    check_torchvision(name)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("heavy")
@pytest.mark.parametrize("share", range(SHARES))
def test_all_of_torchvision(share: int) -> None:
    """In shares, whose names need not be known before the test runs: to import torchvision takes seconds."""
    for name in torchvision_names()[share::SHARES]:
        try:
            check_torchvision(name)
        except BaseException as error:
            error.add_note(f"torchvision:{name}")
            raise
