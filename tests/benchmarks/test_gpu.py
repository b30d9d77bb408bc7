"""The one command for a GPU, gone through on the CPU in miniature."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from gpu_checks import kernels, layers, parts, report, runs, speed
from gpu_checks.bench import FAILED, OK, SKIPPED, Bench, Check, DeviceLost, Outcome, at_most, attempt
from gpu_checks.parts import FAIL_VARIABLE, PARTS, DeviceProcess, Part, PartResult, run_parts

from alexplore.network.layers import EDITABLE_TYPES
from alexplore.presets.library import load_preset

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 600  # for a machine that many share; two free cores take half a minute
CPU = torch.device("cpu")
FACTS = {"dry_run": True, "command": "python benchmarks/gpu.py", "commit": "abc", "date": "2026-01-01"}


def gpu(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--minutes", "30", "--output", str(folder), *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=SECONDS,
        cwd=folder.parent,
        env={key: value for key, value in {**os.environ, **environment}.items() if key != "PYTHONPATH"},
        check=False,
    )


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "gpu.json").read_text())
    return found


@pytest.mark.exhaustive
@pytest.mark.usefixtures("heavy")
def test_dry_run_goes_through_every_part(tmp_path: Path) -> None:
    done = gpu(tmp_path / "out", "--dry-run")
    assert done.returncode == 0, done.stderr + done.stdout
    found = results(tmp_path / "out")
    assert {"format", "command", "commit", "date", "dry_run", "minutes", "seconds", "parts"} <= found.keys()
    assert [part["name"] for part in found["parts"]] == [*PARTS]
    statuses = {part["name"]: part["status"] for part in found["parts"]}
    assert statuses == {**dict.fromkeys(PARTS, OK), **dict.fromkeys(("waiting", "kernels", "times"), SKIPPED)}
    for part in found["parts"]:
        assert {"title", "seconds", "allowed_seconds", "checks", "values", "error", "traceback"} <= part.keys()
        assert part["checks"]
        skipped = [check["note"] for check in part["checks"] if check["status"] != OK]
        assert set(skipped) <= {"needs CUDA", "a dry run learns nothing"}
    values = {part["name"]: part["values"] for part in found["parts"]}
    assert values["machine"]["torch"] == torch.__version__
    assert set(values["machine"]["peak_flops"]) == {"fp32", "tf32", "bf16", "fp16"}
    assert values["layers"]["layer_types"] == [*EDITABLE_TYPES]
    measured = {(row["preset"], row["precision"]) for row in values["speed"]["rows"]}
    assert measured == set(product(("fmnist", "torchvision", "paper"), ("fp32", "bf16", "fp16")))
    assert all(speed > 0 for row in values["speed"]["rows"] for speed in row["images_per_second"].values())
    assert [epoch["epoch"] for epoch in values["accuracy"]["epochs"]] == [1, 2]
    assert values["accuracy"]["tutorial"] == [0.858, 0.888, 0.895, 0.904, 0.906]
    text = (tmp_path / "out" / "gpu.md").read_text()
    assert text.strip() == done.stdout.strip()
    assert all(f"| {part.title} | " in text for part in PARTS.values())
    assert "| paper | 4 | fp16 |" in text
    assert "| the tutorial's log | 0.858 | 0.888 |" in text


@pytest.mark.exhaustive
@pytest.mark.usefixtures("heavy")
def test_a_part_that_fails_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    done = gpu(tmp_path / "out", "--dry-run", "--only", "lrn", "--only", "batch-norm", **{FAIL_VARIABLE: "lrn"})
    assert done.returncode == 1
    found = {part["name"]: part for part in results(tmp_path / "out")["parts"]}
    assert {name: part["status"] for name, part in found.items()} == {"machine": OK, "lrn": FAILED, "batch-norm": OK}
    assert found["lrn"]["error"] == f"RuntimeError: made to fail by {FAIL_VARIABLE}"
    assert "in _fail_if_asked" in found["lrn"]["traceback"]
    assert f"| failed | RuntimeError: made to fail by {FAIL_VARIABLE} |" in done.stdout


@pytest.mark.usefixtures("heavy")
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_says_what_to_do(tmp_path: Path) -> None:
    done = gpu(tmp_path / "out")
    assert done.returncode == 2
    assert "finds no GPU; --dry-run goes through everything on the CPU" in done.stderr


def part_of(name: str, share: float) -> Part:
    return Part(name, name, share, f"tests.benchmarks.unruly_parts:{name}")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench("cpu", True, None, tmp_path / "work", deadline=time.monotonic() + 60)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("heavy")
def test_a_part_that_its_process_does_not_survive_is_recorded_and_the_next_has_another(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "GRACE_SECONDS", 0.5)
    names = ("work", "crash", "work", "hang", "work", "lose", "work", "work")
    chosen = [part_of(name, 0.5 if name == "hang" else 60) for name in names]
    with DeviceProcess("cpu", tmp_path / "log") as process:
        made = [*run_parts(chosen, bench, time.monotonic() + 1000, process)]
    assert [result.status for result in made] == [OK, FAILED, OK, FAILED, OK, FAILED, OK, OK]
    assert "ended by itself, with exit code -9" in made[1].error
    assert "not done after" in made[3].error
    assert "illegal memory access" in made[5].error
    pids = [result.values["pid"] for result in made if result.values]
    assert len(set(pids)) == 4
    assert pids[-1] == pids[-2]


class Instant(DeviceProcess):
    """Runs every part in no time, and tells what it was given."""

    def __init__(self, takes: float) -> None:
        self.takes, self.given, self.peaks = takes, list[float](), list[dict[str, float]]()

    def run(self, part: Part, bench: Bench, allowed: float) -> PartResult:
        self.given.append(allowed)
        self.peaks.append(dict(bench.peaks))
        time.sleep(self.takes)
        return PartResult(part, OK, self.takes, allowed, values={"peak_flops": {"fp32": 1.0}})


def test_parts_share_the_time_there_is(bench: Bench) -> None:
    plenty = Instant(0)
    made = [*run_parts([part_of("work", 10), part_of("work", 30)], bench, time.monotonic() + 1000, plenty)]
    assert plenty.given == pytest.approx([250, 1000], abs=0.5)
    assert plenty.peaks == [{}, {"fp32": 1.0}]
    little = Instant(0)
    made = [*run_parts([part_of("work", 10), part_of("work", 30)], bench, time.monotonic() + 20, little)]
    assert little.given == pytest.approx([5, 20], abs=0.5)
    made = [*run_parts([part_of("work", 10)], bench, time.monotonic() - 1, little)]
    assert [(result.status, result.error) for result in made] == [(SKIPPED, "the total time was up")]


@pytest.mark.parametrize("kind", EDITABLE_TYPES)
def test_every_layer_type_has_an_example(kind: str) -> None:
    network = layers.example_of(kind)
    assert network.layers[-1].type == kind
    found = layers.passes(network, CPU).tensors
    assert found["output"].numel()
    assert found["gradient of the input"].abs().sum() > 0


@pytest.mark.parametrize("tensor", ["output", "gradient of the input", "gradient of layer.weight", "layer.running_var"])
@pytest.mark.parametrize("error", [1e-3, float("nan")])
def test_a_wrong_result_is_found(tensor: str, error: float, monkeypatch: pytest.MonkeyPatch) -> None:
    network = layers.one_layer("batch_norm", {}, layers.MAP)
    plain, calls = layers.passes, list[int]()

    def wrong(*arguments: Any, **keywords: Any) -> layers.Passes:
        made = plain(*arguments, **keywords)
        calls.append(1)
        if len(calls) == 1:  # the CPU's
            return made
        return replace(made, tensors={**made.tensors, tensor: made.tensors[tensor] * (1 + error)})

    assert layers.compare("batch norm", network, CPU).status == OK
    monkeypatch.setattr(layers, "passes", wrong)
    check = layers.compare("batch norm", network, CPU)
    assert check.status == FAILED
    assert check.note == f"largest for {tensor}"


def test_random_layers_are_told_from_others_and_checked() -> None:
    made = [*layers._check_layer_type("dropout", CPU)]
    assert [check.status for check in made] == [OK, OK]
    assert "ones become 0 or 2" in made[1].note


def test_numbers_at_their_limit_pass_and_nan_does_not() -> None:
    assert at_most("a", 1.0, 1.0).status == OK
    assert at_most("a", 1.1, 1.0).status == FAILED
    assert at_most("a", float("nan"), 1.0).status == FAILED


def test_a_check_that_raises_is_a_failed_one_unless_the_device_is_lost() -> None:
    def raises() -> Check:
        raise ValueError("no such thing\nand more")

    def loses() -> Check:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    made = attempt({"one": raises, "two": lambda: at_most("two", 0, 1)})
    assert [check.status for check in made] == [FAILED, OK]
    assert made[0].note.startswith("ValueError: no such thing\nTraceback")
    with pytest.raises(DeviceLost, match="one: RuntimeError: CUDA error"):
        attempt({"one": loses})


def test_outcomes_are_as_their_checks() -> None:
    ok, failed, skipped = (Check("a", status) for status in (OK, FAILED, SKIPPED))
    assert Outcome((ok, skipped)).status == OK
    assert Outcome((skipped,)).status == SKIPPED
    assert Outcome((ok, failed, skipped)).status == FAILED


def test_losses_are_compared_step_by_step() -> None:
    assert runs.largest_difference({1: 2.0, 2: 1.1}, {1: 2.0, 2: 1.0}) == pytest.approx(0.1)
    assert runs.largest_difference({1: 2.0}, {1: 2.0, 2: 1.0}) == float("inf")
    assert runs.largest_difference({}, {}) == float("inf")


def test_a_report_names_what_failed() -> None:
    failed = at_most("conv|2d", 2.0, 1.0, "largest for output")
    made = [
        PartResult(PARTS["layers"], FAILED, 1.0, 20.0, (failed, Check("relu", OK)), {}),
        PartResult(PARTS["waiting"], SKIPPED, 1.0, 20.0, (Check("fp32", SKIPPED, note="needs CUDA"),), {}),
        PartResult(PARTS["speed"], FAILED, 0.0, 0.0, error="ValueError: a | b"),
    ]
    text = report.to_markdown(made, FACTS)
    assert "| failed | 1 of 2 checks; largest 2.0e+00 of 1 (conv\\|2d) | 1.0 s |" in text
    assert "| skipped | 0 of 1 checks; skipped: needs CUDA | 1.0 s |" in text
    assert "| failed | ValueError: a \\| b | 0.0 s |" in text
    assert "- layers, conv|2d: 2.00e+00 of at most 1; largest for output" in text
    assert json.loads(report.to_json(made, FACTS))["parts"][0]["checks"][0]["value"] == 2.0


@pytest.mark.parametrize("name", speed.PRESETS)
def test_narrower_networks_have_the_layers_of_the_preset(name: str) -> None:
    preset = load_preset(name)
    narrow = speed.narrowed(preset.network, 16)
    assert [layer.type for layer in narrow.layers] == [layer.type for layer in preset.network.layers]
    assert narrow.classes == preset.network.classes
    width, narrow_width = (network.layers[0].settings()["out_channels"] for network in (preset.network, narrow))
    assert narrow_width == max(2, width // 16)


def test_a_kernel_that_gains_too_little_everywhere_fails(tmp_path: Path) -> None:
    bench = Bench("cuda", False, None, tmp_path, 0.0)
    gains = {"paper": {"one": 1.3, "other": 1.1}, "fmnist": {"one": 1.0, "other": 1.14}}
    assert kernels._earned("one", gains, bench).status == OK
    failed = kernels._earned("other", gains, bench)
    assert failed.status == FAILED
    assert "1.14 times for fmnist" in failed.note
