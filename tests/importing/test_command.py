"""Models on the command line: imported, shown, and refused, each with one message."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from alexplore.core.errors import FAILED, WRONG_USE, AlexploreError
from alexplore.importing.command import read_source
from alexplore.importing.errors import ImportFailed
from alexplore.importing.mapping import import_trace
from alexplore.importing.tracing import trace_module
from alexplore.presets.library import load_preset
from alexplore.presets.sources import is_source
from alexplore.presets.writer import save_preset
from alexplore.training.model.build import build
from tests.importing import people
from tests.support.command_line import run_here
from tests.support.processes import Alexplore

PEOPLE = str(Path(people.__file__))
SOURCES = ("net.py:Net", "a/net.py:Net(10)", "torchvision:alexnet", "package.module:make", "net.pt2", "dir/net.onnx")
NAMES = ("paper", "net.toml", "dir/net.toml", "a:b.toml", "net.py", "torchvision:", "C D:x")


def test_sources_are_told_from_presets() -> None:
    assert all(map(is_source, SOURCES)) and not any(map(is_source, NAMES))


def test_import_writes_a_preset_and_weights(alexplore_process: Alexplore, tmp_path: Path) -> None:
    preset, weights = tmp_path / "mine.toml", tmp_path / "mine.safetensors"
    source = f"{PEOPLE}:Residual(num_classes=7)"
    done = alexplore_process(
        "import", source, "--input", "3x32x32", "--output", str(preset), "--weights", str(weights), "--json"
    )
    assert done.returncode == 0, done.stderr
    assert "people.py runs" in done.stderr
    values = json.loads(done.stdout)
    loaded = load_preset(str(preset))
    assert values["preset"] == loaded.name == "mine" and source in loaded.source
    tensors, model = load_file(weights), build(loaded.network).eval()
    model.load_state_dict(tensors)
    theirs = people.Residual(num_classes=7).eval()
    state = {name.replace(".", "_"): tensor for name, tensor in theirs.state_dict().items()}
    for name, tensor in theirs.state_dict().items():
        module, _, kind = name.rpartition(".")
        tensor.copy_(tensors[f"{module.replace('.', '_')}.{kind}"])
    assert len(state) == len(tensors)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(model(images), theirs(images), rtol=1e-5, atol=1e-5)
    totals = values["totals"]
    assert totals["params"] == sum(parameter.numel() for parameter in theirs.parameters())


@pytest.mark.exhaustive
def test_a_source_is_a_preset_everywhere(alexplore_process: Alexplore, tmp_path: Path) -> None:
    source = f"{PEOPLE}:made"
    shown = alexplore_process("shapes", source, "--json")
    assert shown.returncode == 0 and json.loads(shown.stdout)["layers"][0]["output"] == [4, 24, 24]
    assert "with PyTorch" in shown.stderr and "1×28×28" in shown.stderr
    exported = alexplore_process("export", "--preset", source, "--to", "pytorch")
    assert exported.returncode == 0 and "nn.Tanh()" in exported.stdout
    differs = alexplore_process("diff", source, "lenet", "--json")
    assert differs.returncode == 0 and json.loads(differs.stdout)["a"] == "made"


@pytest.mark.exhaustive
def test_a_preset_is_not_overwritten(alexplore_process: Alexplore, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "alexplore" / "presets"
    done = alexplore_process("import", f"{PEOPLE}:made")
    assert done.returncode == 0 and "conv" in done.stdout and (folder / "made.toml").is_file()
    again = alexplore_process("import", f"{PEOPLE}:made")
    assert (again.returncode, again.stderr) == (
        WRONG_USE,
        f"error: {folder / 'made.toml'} exists; give another --name, or a file with --output\n",
    )


def test_a_folder_gets_a_file_of_the_presets_name(alexplore: Alexplore, tmp_path: Path) -> None:
    for name, options in (("made.toml", ()), ("mine.toml", ("--name", "mine"))):
        done = alexplore("import", f"{PEOPLE}:made", "--output", str(tmp_path), *options, seconds=120)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / name).is_file()
    again = alexplore("import", f"{PEOPLE}:made", "--output", str(tmp_path))
    assert again.returncode == 2
    assert "made.toml exists; give another --name, or a file with --output" in again.stderr


@pytest.mark.parametrize("source", ["nowhere.py:made(3)", "a.b:x.made", "made.onnx"])
def test_a_name_that_is_taken_is_refused_before_the_import(source: str) -> None:
    taken = save_preset(load_preset("lenet"), "made").path
    done = run_here("import", source)
    assert (done.returncode, done.stderr) == (
        WRONG_USE,
        f"error: {taken} exists; give another --name, or a file with --output\n",
    )


@pytest.mark.exhaustive
def test_opaque_layers_are_refused_for_training(alexplore_process: Alexplore) -> None:
    done = alexplore_process("train", "--preset", f"{PEOPLE}:Shared", "--dataset", "synthetic")
    assert done.returncode in (FAILED, WRONG_USE)
    assert "conv2, permute, mul and 1 more are opaque" in done.stderr and "Traceback" not in done.stderr


REFUSED = {
    f"{PEOPLE}:TwoInputs": (WRONG_USE, "its forward takes 2 inputs (left, right)"),
    f"{PEOPLE}:TwoOutputs": (WRONG_USE, "its forward returns 2 tensors"),
    f"{PEOPLE}:Prints": (WRONG_USE, "the size of its input is needed: --input CxHxW"),
    f"{PEOPLE}:Arguments": (WRONG_USE, "missing a required argument: 'width'"),
    f"{PEOPLE}:Arguments(width)": (WRONG_USE, "neither a name nor a call with literal arguments"),
    f"{PEOPLE}:Fails": (FAILED, "its forward pass fails: ValueError: not today (people.py, line"),
    f"{PEOPLE}:Branches": (FAILED, "depends on the values of the images, which a trace can't follow (people.py, line"),
    f"{PEOPLE}:FailsAtOnce": (FAILED, "making the model fails: KeyError: 'weights.pth' (people.py, line"),
    f"{PEOPLE}:PartlyScripted": (WRONG_USE, "body of the model is a TorchScript module, which can't be traced"),
    f"{PEOPLE}:Scalar": (FAILED, "its forward pass fails: it makes one number of 1 image"),
    f"{PEOPLE}:Nothing": (WRONG_USE, "does nothing with its input"),
    f"{PEOPLE}:number": (WRONG_USE, "number is of type int"),
    f"{PEOPLE}:Residal": (WRONG_USE, "did you mean Residual?"),
    "missing.py:Net": (WRONG_USE, "no such file"),
    "torchvision:alexnett": (WRONG_USE, "did you mean alexnet"),
    "no.such.module:Net": (WRONG_USE, "there is no module no"),
    "missing.pt2": (WRONG_USE, "no such file"),
}


@pytest.mark.usefixtures("heavy")
@pytest.mark.parametrize("source", REFUSED)
def test_what_can_not_be_imported(source: str) -> None:
    code, message = REFUSED[source]
    with pytest.raises(AlexploreError) as refused:
        import_trace(read_source(source, None, with_weights=False), source)
    assert message in str(refused.value) and "\n" not in str(refused.value)
    assert refused.value.exit_code == code


@pytest.mark.usefixtures("heavy")
def test_a_package_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("import a_package_of_nobody.writers\n")
    source = f"{tmp_path / 'net.py'}:Net"
    with pytest.raises(
        ImportFailed, match=r"No module named 'a_package_of_nobody'.*; install a_package_of_nobody for "
    ):
        read_source(source, None, with_weights=False)


MODELS = {
    "models/__init__.py": "",
    "models/blocks.py": "from torch import nn\nBlock = nn.Linear\n",
    "models/net.py": "from .blocks import Block, nn\ndef net(): return nn.Sequential(nn.Flatten(), Block(12, 2))\n",
}


@pytest.mark.usefixtures("heavy")
def test_a_file_of_a_package_may_import_its_neighbours(tmp_path: Path) -> None:
    for name, content in MODELS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    source = f"{tmp_path / 'models' / 'net.py'}:net"
    found = import_trace(read_source(source, (3, 2, 2), with_weights=False), source)
    assert [layer.type for layer in found.network.layers] == ["flatten", "linear"]
    (tmp_path / "models" / "__init__.py").unlink()
    with pytest.raises(ImportFailed, match=r"its folder has no __init__\.py: go to the folder above, and give"):
        read_source(source, (3, 2, 2), with_weights=False)


@pytest.mark.usefixtures("heavy")
def test_a_script_that_trains_when_it_is_run_is_explained(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("open('data that is not here')\n")
    with pytest.raises(ImportFailed, match=r"No such file or directory.*; the whole file is run: what only training "):
        read_source(f"{tmp_path / 'net.py'}:Net", None, with_weights=False)


LATER = pytest.mark.exhaustive  # each starts a process that imports PyTorch


@pytest.mark.parametrize(
    "source",
    [f"{PEOPLE}:Fails", pytest.param(f"{PEOPLE}:FailsAtOnce", marks=LATER), pytest.param("paper", marks=LATER)],
)
def test_a_refusal_is_one_message(alexplore_process: Alexplore, source: str) -> None:
    code, message = {**REFUSED, "paper": (WRONG_USE, "is no SOURCE")}[source]
    done = alexplore_process("import", source)
    assert message in done.stderr and done.returncode == code and done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in done.stderr


@pytest.mark.exhaustive
def test_a_size_that_does_not_fit(alexplore_process: Alexplore) -> None:
    done = alexplore_process("import", f"{PEOPLE}:made", "--input", "1x32x32")
    assert done.returncode == FAILED and "its forward pass fails with an input of 1×32×32" in done.stderr
    fitting = alexplore_process("import", f"{PEOPLE}:Prints", "--input", "1x20x20", "--json")
    assert fitting.returncode == 0 and "the shape is" in fitting.stderr and json.loads(fitting.stdout)


@pytest.mark.exhaustive
def test_arguments_and_lazy_modules(alexplore_process: Alexplore) -> None:
    done = alexplore_process("shapes", f"{PEOPLE}:Arguments(8, classes=5)", "--input", "3x10x10", "--json")
    assert done.returncode == 0, done.stderr
    assert [layer["params"] for layer in json.loads(done.stdout)["layers"]] == [224, 0, 5 * (8 * 8 * 8 + 1)]


@pytest.mark.parametrize("dynamic", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_exported_program(alexplore_process: Alexplore, tmp_path: Path, dynamic: bool) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 10))
    shapes = ({0: torch.export.Dim("batch", min=2, max=64)},) if dynamic else None
    program = torch.export.export(module.eval(), (torch.zeros(2, 3, 16, 16),), dynamic_shapes=shapes)
    file = tmp_path / "net.pt2"
    torch.export.save(program, file)
    done = alexplore_process("shapes", str(file), "--json")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values["input"] == [3, 16, 16]
    assert [layer["type"] for layer in values["layers"]] == ["conv2d", "batch_norm", "relu", "flatten", "linear"]
    assert values["totals"]["params"] == sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.exhaustive
def test_a_file_that_is_no_exported_program(alexplore_process: Alexplore, tmp_path: Path) -> None:
    file = tmp_path / "net.pt2"
    file.write_bytes(b"no program")
    done = alexplore_process("shapes", str(file))
    assert done.returncode == WRONG_USE and "torch.export.load can't read it" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_says_that_code_is_run(alexplore_process: Alexplore) -> None:
    assert "RUNS THE CODE" in alexplore_process("import", "--help").stdout


@pytest.mark.usefixtures("heavy")
def test_the_size_of_an_exported_program(tmp_path: Path) -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            means: torch.Tensor = self.conv(images).mean((2, 3))
            return means

    height, width = torch.export.Dim("height", min=8, max=99), torch.export.Dim("width", min=8, max=99)
    for name, sides in (("any", {2: height, 3: width}), ("one", None)):
        dynamic = None if sides is None else ({0: torch.export.Dim("batch"), **sides},)
        program = torch.export.export(Pooled(), (torch.zeros(2, 3, 16, 16),), dynamic_shapes=dynamic, strict=False)
        torch.export.save(program, tmp_path / f"{name}.pt2")
    read = partial(read_source, with_weights=False)
    assert read(str(tmp_path / "any.pt2"), None).input == (3, 16, 16)
    assert read(str(tmp_path / "any.pt2"), (3, 32, 24)).input == (3, 32, 24)
    assert read(str(tmp_path / "one.pt2"), (3, 16, 16)).input == (3, 16, 16)
    assert read(str(tmp_path / "one.pt2"), (3, 32, 24)).input == (3, 16, 16)
    with pytest.raises(AlexploreError, match=r"any\.pt2: it takes no images of 1×32×24"):
        read(str(tmp_path / "any.pt2"), (1, 32, 24))


AXES = {
    "at most 16 images": ({0: torch.export.Dim("batch", max=16)}, torch.float32, (16, 3, 12, 12)),
    "at least 40 images": ({0: torch.export.Dim("batch", min=40)}, torch.float32, (40, 3, 12, 12)),
    "one image of any size": (
        {2: torch.export.Dim("height", min=8, max=99), 3: torch.export.Dim("width", min=8, max=99)},
        torch.float32, (1, 3, 12, 12),
    ),
    "half precision": ({0: torch.export.Dim("batch")}, torch.float16, (29, 3, 12, 12)),
    "double precision": ({0: torch.export.Dim("batch")}, torch.float64, (29, 3, 12, 12)),
}  # fmt: skip


@pytest.mark.parametrize("name", AXES)
def test_a_file_is_read_with_what_it_takes(name: str, tmp_path: Path) -> None:
    axes, dtype, expected = AXES[name]
    count = {"at least 40 images": 50, "one image of any size": 1}.get(name, 2)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).to(dtype)
    program = torch.export.export(module, (torch.zeros(count, 3, 12, 12, dtype=dtype),), dynamic_shapes=(axes,))
    torch.export.save(program, tmp_path / "net.pt2")
    trace = read_source(str(tmp_path / "net.pt2"), None, with_weights=False)
    image = trace.image.meta["val"]
    assert (tuple(image.shape), image.dtype) == (expected, dtype)
    assert [layer.type for layer in import_trace(trace, "net.pt2").network.layers] == [
        "conv2d", "adaptive_avg_pool2d", "flatten",
    ]  # fmt: skip


class CumulativeMean(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, momentum=None)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        normed: torch.Tensor = self.norm(images)
        return normed


def test_running_statistics_of_another_kind_are_not_taken_for_ones_that_stay() -> None:
    found = import_trace(trace_module(CumulativeMean().eval(), (3, 8, 8), "net"), "net")
    (layer,) = found.network.layers
    assert layer.type == "opaque"


def test_a_layer_that_is_frozen_in_part_is_named() -> None:
    norm = nn.Sequential(nn.BatchNorm2d(3))
    norm[0].bias.requires_grad_(False)
    found = import_trace(trace_module(norm.eval(), (3, 8, 8), "net"), "net")
    assert found.warnings == (
        "warning: only a part of the parameters of norm0 is frozen; here a layer is trained whole, or not",
    )


@pytest.mark.usefixtures("heavy")
def test_weights_that_can_not_be_written_are_named(alexplore_process: Alexplore, tmp_path: Path) -> None:
    command = ("import", f"{PEOPLE}:made", "--output", str(tmp_path / "made.toml"), "--weights", "/dev/full")
    refused = alexplore_process(*command)
    assert refused.returncode == FAILED
    assert refused.stderr.splitlines()[-1] == "error: /dev/full: No space left on device"


def test_a_path_as_a_name_is_refused_before_the_import() -> None:
    refused = run_here("import", "net.py:Net", "--name", "sub/mine")
    assert refused.returncode == WRONG_USE
    assert "--name 'sub/mine': a name, not a path; --output is for paths" in refused.stderr
