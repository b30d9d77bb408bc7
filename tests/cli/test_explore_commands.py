"""shapes, presets, diff, export: output, exit codes, and one clear message for what goes wrong."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from alexplore.cli.predict import _source
from alexplore.runs.config import RunConfig
from alexplore.runs.directory import create_run
from tests.support.command_line import run_here
from tests.support.processes import Alexplore

PAPER_PARAMS = 60_965_224
PAPER_MACS = 724_406_816


def test_shapes_prints_the_table_that_people_know(alexplore: Alexplore) -> None:
    done = alexplore("shapes", "--preset", "paper")
    assert done.returncode == 0
    assert "256×27×27" in done.stdout
    assert "60,965,224" in done.stdout
    assert "MACs: multiplications by weights; biases, pooling, normalisation and activations count 0." in done.stdout
    assert done.stderr == ""


def test_shapes_json_is_the_contract(alexplore: Alexplore) -> None:
    one = json.loads(alexplore("shapes", "--preset", "paper", "--json").stdout)
    assert list(one) == ["preset", "input", "batch", "layers", "totals"]
    conv1 = one["layers"][0]
    assert conv1["settings"]["kernel_size"] == 11
    del conv1["settings"]
    assert conv1 == {
        "index": 1, "name": "conv1", "type": "conv2d", "inputs": ["input"], "output": [96, 55, 55],
        "params": 34944, "trainable_params": 34944, "macs": 105415200, "connections": 55 * 55 * (11 * 11 * 3 + 1) * 96,
        "neurons": 290400, "activation_bytes": 4 * 290400, "receptive_field": 11, "jump": 4, "exchange_bytes": 0,
        "error": None,
    }  # fmt: skip
    totals = one["totals"]
    assert (totals["params"], totals["macs"], totals["neurons"]) == (PAPER_PARAMS, PAPER_MACS, 659272)
    batch = json.loads(alexplore("shapes", "--preset", "paper", "--json", "--batch", "4").stdout)
    assert batch["totals"]["activation_bytes"] == 4 * totals["activation_bytes"]
    scaled = ("activation_bytes", "training_bytes")
    assert {k: v for k, v in batch["totals"].items() if k not in scaled} == {
        k: v for k, v in totals.items() if k not in scaled
    }


def test_training_memory_for_an_optimizer_and_a_precision(alexplore: Alexplore) -> None:
    def training_bytes(*options: str) -> int:
        totals = json.loads(alexplore("shapes", "--preset", "lenet", "--json", *options).stdout)["totals"]
        return int(totals["training_bytes"])

    sgd, adam = training_bytes("--optimizer", "sgd"), training_bytes("--optimizer", "adam")
    assert adam - sgd == 4 * 61_706  # a mean of squares beside the mean of gradients
    images = {
        precision: training_bytes("--precision", precision, "--batch", "9")
        - training_bytes("--precision", precision, "--batch", "1")
        for precision in ("fp32", "bf16", "fp16")
    }
    assert images["fp32"] == 2 * images["bf16"] == 2 * images["fp16"]
    options = ("--batch", "2", "--optimizer", "adamw", "--precision", "bf16")
    assert "at batch 2 with adamw in bf16: weights" in alexplore("shapes", "--preset", "lenet", *options).stdout
    explained = alexplore("shapes", "--preset", "lenet", "--explain", *options).stdout
    assert "totals · training at batch 2 with adamw in bf16\n" in explained
    assert f"= {training_bytes(*options):,} (" in explained


def test_shapes_as_csv_and_markdown(alexplore: Alexplore) -> None:
    rows = list(csv.DictReader(io.StringIO(alexplore("shapes", "-p", "paper", "--csv").stdout)))
    assert rows[0]["name"] == "conv1"
    assert sum(int(row["params"]) for row in rows) == PAPER_PARAMS
    markdown = alexplore("shapes", "-p", "paper", "--markdown").stdout
    assert markdown.splitlines()[1].replace("|", "").strip(" -:") == ""
    assert "34,944" in markdown or "34944" in markdown


def test_explain_writes_the_arithmetic_out(alexplore: Alexplore) -> None:
    one = alexplore("shapes", "--preset", "torchvision", "--explain", "conv1").stdout
    assert "⌊(224 + 2·2 − 11) / 4⌋ + 1 = 55" in one
    assert "(11·11·3 + 1) · 64 = 23,296" in one
    everything = alexplore("shapes", "--preset", "torchvision", "--explain").stdout
    assert "61,100,840" in everything


def test_another_input_and_a_broken_shape(alexplore: Alexplore, tiny_preset: Path) -> None:
    assert "[96, 54, 54]" in alexplore("shapes", "-p", "paper", "--input", "3x224x224", "--json").stdout
    broken = alexplore("shapes", "-p", "paper", "--input", "3x60x60", "--json")
    assert broken.returncode == 1
    errors = [layer["error"] for layer in json.loads(broken.stdout)["layers"]]
    assert sum(error is not None for error in errors) == 1
    assert "Traceback" not in broken.stderr


def test_presets_are_listed_told_and_checked(alexplore: Alexplore, tiny_preset: Path) -> None:
    listed = alexplore("presets").stdout
    for name in ("paper", "torchvision", "fmnist", "fmnist-28"):
        assert f" {name} " in listed
    assert "✗ conv1 neurons 253,440: ours is 290,400" in alexplore("presets", "paper").stdout
    path = Path(alexplore("presets", "paper", "--path").stdout.strip())
    assert path.name == "paper.toml"
    assert path.is_file()
    assert alexplore("presets", "--check", str(tiny_preset)).returncode == 0


def test_a_description_is_told_in_paragraphs(alexplore: Alexplore, tmp_path: Path, tiny_preset: Path) -> None:
    path = tmp_path / "told.toml"
    path.write_text(
        'description = """\nOne line\nand its rest.\n\nAnother\nparagraph.\n"""\n' + tiny_preset.read_text()
    )
    assert "\n\nOne line and its rest.\n\nAnother paragraph.\n\n" in alexplore("presets", str(path)).stdout


def test_a_byte_order_mark_is_no_part_of_a_preset(alexplore: Alexplore, tmp_path: Path, tiny_preset: Path) -> None:
    path = tmp_path / "marked.toml"
    path.write_bytes(b"\xef\xbb\xbf" + tiny_preset.read_bytes())
    done = alexplore("presets", "--check", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{path}: 5 layers" in done.stdout


def test_diff(alexplore: Alexplore) -> None:
    content = json.loads(alexplore("diff", "paper", "torchvision", "--json").stdout)
    assert content["totals"]["params"] == {"a": PAPER_PARAMS, "b": 61_100_840, "difference": 61_100_840 - PAPER_PARAMS}
    assert "Δ params" in alexplore("diff", "paper", "torchvision").stdout


def test_export(alexplore: Alexplore, tmp_path: Path) -> None:
    assert "class" in alexplore("export", "-p", "paper", "--to", "pytorch").stdout
    target = tmp_path / "net.json"
    assert alexplore("export", "-p", "paper", "--to", "json", "-o", str(target)).returncode == 0
    assert json.loads(target.read_text())
    folder = alexplore("export", "-p", "paper", "--to", "json", "-o", str(tmp_path))
    assert folder.returncode == 2
    assert f"{tmp_path} is a directory; give the name of a file in it" in folder.stderr
    unknown = alexplore("export", "-p", "paper", "--to", "caffe")
    assert unknown.returncode == 2
    assert unknown.stderr == 'error: unknown format "caffe". Allowed: pytorch, keras, json, html, mermaid, onnx\n'
    assert "did you mean onnx" in alexplore("export", "-p", "paper", "--to", "onx").stderr


@pytest.mark.parametrize(
    ("command", "allowed"), [("export", "pytorch|keras|json|html|mermaid|onnx"), ("sweep", "auto|cpu|cuda|mps")]
)
def test_help_lists_every_allowed_value(command: str, allowed: str) -> None:
    assert allowed in run_here(command, "--help", columns=200).stdout


BAD_PRESETS = {
    "broken": ('title = "x\n', 'not valid TOML', "line 1"),
    "unknown key": ('input = [3, 9, 9]\nlayres = []\n', '"layres"', "did you mean layers"),
    "unknown setting": (
        'input = [3, 9, 9]\nlayers = [{ name = "c", type = "conv2d", out_channels = 3, kernal_size = 3 }]\n',
        '"kernal_size"',
        "did you mean kernel_size",
    ),
    "wrong kind": (
        'input = [3, 9, 9]\nlayers = [{ name = "c", type = "conv2d", out_channels = "many", kernel_size = 3 }]\n',
        "layer c (conv2d): out_channels",
        "an integer ≥ 1",
    ),
    "out of range": (
        'input = [3, 9, 9]\nlayers = [{ name = "d", type = "dropout", p = 1.5 }]\n',
        "p: found 1.5",
        "a number ≥ 0 and ≤ 1",
    ),
    "unknown type": (
        'input = [3, 9, 9]\nlayers = [{ name = "c", type = "conv2" }]\n',
        "conv2",
        "did you mean conv2d",
    ),
    "recipe": (
        'input = [3, 9, 9]\nlayers = [{ name = "f", type = "flatten" }]\n[training]\noptimiser = "sgd"\n',
        '"optimiser"',
        "did you mean optimizer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_PRESETS)
@pytest.mark.parametrize("command", [("shapes",), ("train", "--detach")])
def test_a_bad_preset_gets_one_message_and_exit_code_2(
    alexplore: Alexplore, tmp_path: Path, case: str, command: tuple[str, ...]
) -> None:
    content, *said = BAD_PRESETS[case]
    path = tmp_path / "bad.toml"
    path.write_text(content)
    done = alexplore(*command, "--preset", str(path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert str(path) in done.stderr
    for words in said:
        assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("shapes", "--preset", "papr"),
            "no preset 'papr'; did you mean paper? Presets: cifar10-relu",
        ),
        (("shapes", "--preset", "xyzzy"), "no preset 'xyzzy'. Presets: cifar10-relu"),
        (("shapes", "--preset", "lenet", "--optimizer", "sdg"), "one of sgd, adam, adamw"),
        (("shapes", "--preset", "lenet", "--precision", "fp8"), "one of auto, fp32, bf16, fp16"),
        (("shapes", "--preset", "/no/such.toml"), "no such file"),
        (("shapes", "--preset", "paper", "--input", "3x2"), "3x227x227"),
        (("shapes", "--preset", "paper", "--explain", "conv9"), "no layer 'conv9'"),
        (("shapes", "--preset", "paper", "conv1"), "--explain"),
        (("shapes", "--preset", "paper", "--json", "--csv"), "exclude each other"),
        (("shapes",), "name a preset"),
        (("presets", "--path"), "NAME"),
        (("presets", "paper", "--schema"), "exclude each other"),
        (("presets", "paper", "--check", "paper.toml"), "exclude each other"),
        (("train", "--preset", "lenet", "--epochs", "0"), "epochs: found 0, allowed: an integer ≥ 1"),
        (("train", "--preset", "lenet", "--optimizer", "sdg"), "one of sgd, adam, adamw"),
        (("train", "--preset", "lenet", "--set", "training.lrr=1"), "did you mean lr"),
        (("train", "--preset", "lenet", "--set", "lr=1"), "training.KEY=VALUE"),
        (("train", "-p", "lenet", "--lr", "1", "--set", "training.lr=2"), "lr is given twice"),
        (("train", "-p", "lenet", "--set", "training.lr=1", "--set", "training.lr=1"), "lr is given twice"),
        (("train", "-p", "lenet", "--set", "training.lr="), "the value is empty, allowed: a number > 0"),
        (("train", "--preset", "lenet", "--gpus", "0"), "gpus: found 0"),
        (("train", "-p", "lenet", "--gpus", "9", "--batch-size", "8"), "a batch of 8 images can't be shared"),
        (("train", "-p", "lenet", "--parallel", "towers"), "this network has no towers"),
        (("train", "-p", "paper", "--parallel", "towers", "--gpus", "3"), "has 2 towers, each for one rank, not for 3"),
        (("train", "-p", "lenet", "--dataset", "imagefolder"), "has to be named: --data DIR"),
        (("train", "-p", "lenet", "--data", "/no/such"), "--data /no/such: there is no such folder"),
        (("runs", "show", "nothing"), "There are no runs yet"),
        (("runs", "resume", "nothing"), "no run 'nothing'"),
        (("tui",), "alexplore shapes --preset paper"),
    ],
)
def test_wrong_use_is_exit_code_2_and_says_what_to_do(
    alexplore: Alexplore, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = alexplore(*arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_user_s_file_with_a_shipped_name_is_refused(alexplore: Alexplore, tmp_path: Path, tiny_preset: Path) -> None:
    folder = tmp_path / "config" / "alexplore" / "presets"
    folder.mkdir(parents=True)
    (folder / "paper.toml").write_text(tiny_preset.read_text())
    (folder / "mine.toml").write_text(tiny_preset.read_text())
    done = alexplore("shapes", "--preset", "paper")
    assert done.returncode == 2
    assert "name of a shipped preset" in done.stderr
    assert alexplore("shapes", "--preset", "mine").returncode == 0
    listed = alexplore("presets").stdout
    assert "mine" in listed


@pytest.mark.usefixtures("heavy")
def test_a_pipe_that_closes_early_is_no_traceback() -> None:
    command = f"{sys.executable} -m alexplore shapes --preset paper | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "paper" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("paper",), ("--preset", "paper"), ("-p", "paper"), ("paper", "--explain"), ("--preset", "paper", "--explain")],
)
def test_a_preset_is_named_with_or_without_its_option(alexplore: Alexplore, arguments: tuple[str, ...]) -> None:
    done = alexplore("shapes", *arguments)
    assert done.returncode == 0, done.stderr
    assert "34,944" in done.stdout  # parameters of conv1


@pytest.mark.parametrize("arguments", [("paper", "conv1", "--explain"), ("-p", "paper", "conv1", "--explain")])
def test_a_layer_is_named_behind_the_preset(alexplore: Alexplore, arguments: tuple[str, ...]) -> None:
    done = alexplore("shapes", *arguments)
    assert done.returncode == 0, done.stderr
    assert "(11·11·3 + 1) · 96 = 34,944" in done.stdout
    assert "307,456" not in done.stdout  # parameters of conv2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a preset: `alexplore shapes paper`"),
        (("paper", "conv1"), "a LAYER goes with --explain"),
        (("paper", "conv1", "conv2", "--explain"), "one LAYER at most"),
    ],
)
def test_names_that_say_too_little_or_too_much_are_refused(
    alexplore: Alexplore, arguments: tuple[str, ...], said: str
) -> None:
    done = alexplore("shapes", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_preset_that_is_taken_for_a_run_is_named(alexplore: Alexplore) -> None:
    done = alexplore("predict", "paper", "x.png")
    assert done.returncode == 2
    assert "paper is a preset: its network can be asked with --weights FILE" in done.stderr


def test_a_run_that_is_found_by_the_name_of_a_preset_is_named(
    config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = create_run(config, tmp_path, "paper-184111")
    (run.checkpoints_folder / "last").mkdir()
    assert _source("paper", None, tmp_path).name == "paper-184111"
    said = "paper is taken as the run paper-184111; the preset paper can be asked with --weights FILE"
    assert capsys.readouterr().err.strip() == said


def test_an_input_with_its_channels_last_is_recognised(tmp_path: Path) -> None:
    """Also where every layer can read it."""
    preset = tmp_path / "net.toml"
    preset.write_text(
        'input = [227, 227, 3]\nlayers = [{ name = "c", type = "conv2d", out_channels = 4, kernel_size = 3 }]\n'
    )
    for command in (("shapes", str(preset)), ("presets", "--check", str(preset))):
        done = run_here(*command)
        assert done.returncode == 0
        assert "input 227×227×3 looks like height, width, channels" in done.stderr
        assert done.stderr.endswith("If that is not meant: 3×227×227\n")
