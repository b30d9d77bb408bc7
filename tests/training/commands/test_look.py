"""What a network makes of an image, against autograd."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from alexplore.core.processes import CommandError
from alexplore.network.analysis import analyse
from alexplore.network.graph import Network, read_network
from alexplore.runs.look import look
from alexplore.runs.look_request import LookRequest
from alexplore.training.commands.look import checked_unit, class_number, grad_cam, mapped_row, output_of
from alexplore.training.errors import UsageError
from alexplore.training.model.build import build
from tests.support.training import train_here
from tests.training.conftest import MakeRun


def test_grad_cam_is_that_of_its_paper(small: Network) -> None:
    model = build(small, seed=1).double().eval()
    image = torch.randn(1, 1, 12, 12, dtype=torch.float64)
    values, maps = image, None
    for name, layer in model.named_children():
        values = layer(values)
        if name == "conv2":
            maps = values
            values = values.clone()  # relu2 overwrites its input
    assert maps is not None
    (gradient,) = torch.autograd.grad(values[0, 3], maps)
    importance = gradient[0].sum((1, 2)) / gradient[0][0].numel()
    expected = torch.zeros_like(maps[0, 0])
    for channel, weight in enumerate(importance):
        expected += weight * maps[0, channel]
    expected = expected.clamp(min=0).detach()
    heat = grad_cam(model, image, "conv2", 3)
    assert heat.shape == (12, 12)
    assert 0 <= heat.min() <= heat.max()
    assert heat.max() == pytest.approx(1) or not expected.any()
    enlarged = nn.functional.interpolate(expected[None, None].float(), (12, 12), mode="bilinear")[0, 0]
    assert torch.allclose(heat * enlarged.max(), enlarged, atol=1e-5)


def test_asking_changes_nothing(small: Network) -> None:
    model = build(small, seed=1).eval()
    image = torch.randn(1, 1, 12, 12)
    with torch.no_grad():
        before = model(image)
        with output_of(model, "conv1") as outputs:
            assert torch.equal(model(image), before)
        assert torch.equal(outputs[0], model.get_submodule("conv1")(image))  # not overwritten by relu1
    grad_cam(model, image, "conv1", 0)
    assert not any(module._forward_hooks for module in model.modules() if isinstance(module, nn.Conv2d))


NETWORK = {
    "input": [1, 23, 19],
    "layers": [
        {"name": "conv1", "type": "conv2d", "out_channels": 3, "kernel_size": [5, 3], "stride": 2, "padding": 1},
        {"name": "relu1", "type": "leaky_relu"},
        {"name": "pool1", "type": "avg_pool2d", "kernel_size": 3, "stride": 2},
        {"name": "conv2", "type": "conv2d", "out_channels": 2, "kernel_size": 2},
    ],
}


@pytest.mark.parametrize("layer", ["conv1", "pool1", "conv2"])
def test_a_unit_depends_on_the_pixels_in_its_box_alone(layer: str) -> None:
    network = read_network(NETWORK)
    model = build(network, seed=0).double()
    row = next(row for row in analyse(network).rows if row.layer.name == layer)
    assert row.output is not None
    for y in (0, row.output[1] - 1):
        for x in (0, row.output[2] - 1):
            image = torch.randn(1, 1, 23, 19, dtype=torch.float64, requires_grad=True)
            with output_of(model, layer) as outputs:
                model(image)
            (gradient,) = torch.autograd.grad(outputs[0][0, 1, y, x], image)
            rows, columns = (gradient[0, 0].abs().amax(axis).nonzero()[:, 0] for axis in (1, 0))
            top, left = row.height.first(y), row.width.first(x)
            assert int(rows.min()) == max(0, top)
            assert int(rows.max()) == min(23, top + row.height.size) - 1
            assert int(columns.min()) == max(0, left)
            assert int(columns.max()) == min(19, left + row.width.size) - 1


def test_layers_units_and_classes_are_checked(small: Network) -> None:
    assert mapped_row(small, None).layer.name == "conv2"
    row = mapped_row(small, "conv1")
    assert checked_unit("5,11,0", row) == (5, 11, 0)
    for wrong in ("6,0,0", "0,-1,0", "1,2", "a,b,c"):
        with pytest.raises(UsageError, match="--unit"):
            checked_unit(wrong, row)
    with pytest.raises(UsageError, match="--layer 'fc3'"):
        mapped_row(small, "fc3")
    classes = ("dog", "cat", "1")
    assert [class_number(text, classes, 1) for text in ("dog", "0", "1", "guess")] == [0, 0, 2, 1]
    with pytest.raises(UsageError, match="did you mean cat"):
        class_number("cats", classes, 0)


def test_a_trained_run_is_asked_about_a_validation_image(make_run: MakeRun) -> None:
    run = make_run(epochs=1)
    train_here(run)
    found = look(run.path, LookRequest(index=4, layer="conv1", unit="2,0,3", cam="guess"))
    assert found.shape == (6, 12, 12)
    assert (found.picture.height, found.picture.width) == (12, 12)
    assert found.box == (-1, 2, 2, 5)
    assert found.value == pytest.approx(float(found.maps.values()[2, 0, 3]), abs=0.02)
    assert found.cam == found.classes[0][0]
    assert found.heat is not None
    assert (found.heat.height, found.heat.width) == (12, 12)
    assert found.truth is not None
    with pytest.raises(CommandError, match="validation images from 0 to 30") as refused:
        look(run.path, LookRequest(index=31))
    assert refused.value.exit_code == 2


def test_an_image_of_two_channels_is_shown_in_grey(make_run: MakeRun, small: Network) -> None:
    run = make_run(network=small.with_input(2, 12, 12), epochs=1)
    assert train_here(run) == "finished"
    found = look(run.path, LookRequest(index=0))
    assert found.picture is not None
    assert (found.picture.channels, found.picture.height) == (1, 12)
