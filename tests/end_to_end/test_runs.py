"""Training from the command line, in real processes: followed, stopped, killed, resumed, asked afterwards."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from alexplore.runs.config import RunConfig
from alexplore.runs.directory import create_run, find_run, list_runs
from alexplore.runs.lines import LineReader, LineWriter
from alexplore.runs.status import Status, read_status, write_status
from tests.support.processes import Alexplore
from tests.support.runs import steps_done, wait_for_state, wait_for_steps, wait_for_worker

REAL = Path("/usr/share/datasets/fashion-mnist")
LIMITS = ("--limit-train", "1024", "--limit-val", "256", "--device", "cpu")


def test_a_training_is_followed_in_plain_lines_and_asked_afterwards(
    alexplore: Alexplore, tiny_preset: Path, tmp_path: Path
) -> None:
    done = alexplore("train", "--preset", str(tiny_preset), *LIMITS, "--name", "one")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("epoch 1/2 · loss ")
    assert second.startswith("epoch 2/2 · loss ")
    assert "images/s" in second
    assert "synthetic: 1,024 images to train on, 256 to validate, drawn by the program: not real images" in done.stderr
    assert "finished: 2 epochs in " in done.stderr

    run = find_run("one", tmp_path / "runs")
    metrics = LineReader(run.metrics_file).read()
    assert [record["seq"] for record in metrics] == list(range(len(metrics)))
    last = metrics[-1]
    assert last["step"] == 2 * 8
    assert last["epoch"] == 2
    assert {"val/loss", "val/acc", "train/loss", "train/acc", "lr", "images_per_second"} <= set(last)
    assert sorted(path.name for path in (run.checkpoints_folder / "last").iterdir()) == [
        "manifest.json", "model.safetensors", "state.pt",
    ]  # fmt: skip

    listed = json.loads(alexplore("runs", "list", "--json").stdout)
    assert [(one["run"], one["state"], one["epoch"]) for one in listed] == [("one", "finished", 2.0)]
    assert "finished at epoch 2.00/2" in alexplore("runs", "show", "one").stdout
    rows = list(csv.DictReader(io.StringIO(alexplore("runs", "export", "one").stdout)))
    assert rows[-1]["step"] == "16"
    watched = alexplore("runs", "watch", "one", "--json")
    assert watched.returncode == 0
    assert [json.loads(line) for line in watched.stdout.splitlines() if "train/loss" in line]

    evaluated = json.loads(alexplore("evaluate", "one", "--json").stdout)
    assert evaluated["images"] == 256
    assert evaluated["val/acc"] == pytest.approx(max(record.get("val/acc", 0) for record in metrics))

    Image.new("RGBA", (90, 40), "red").save(tmp_path / "red.png")
    Image.new("1", (14_000, 14_000)).save(tmp_path / "bomb.png")
    wrong = ("-x.png", str(tiny_preset), str(tmp_path / "bomb.png"))
    some = alexplore("predict", "one", "--json", "--", str(tmp_path / "red.png"), *wrong)
    assert some.returncode == 1
    assert "Traceback" not in some.stderr
    assert "bomb.png: it has more than the 67,108,864 pixels that are decoded" in some.stderr
    assert "not an image" in some.stderr
    assert "-x.png: No such file or directory" in some.stderr
    (answers,) = json.loads(some.stdout).values()
    assert len(answers) == 5
    assert [p for _, p in answers] == sorted((p for _, p in answers), reverse=True)
    assert 0 < sum(p for _, p in answers) <= 1 + 1e-6
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (30, 30), (10, 200, 30)).save(tmp_path / "pictures" / "green.png")
    shown = json.loads(alexplore("predict", "one", str(tmp_path / "pictures"), "--invert", "--show", "--json").stdout)
    (negative,) = shown.values()
    assert negative["inverted"] is True
    pixels = base64.b64decode(negative["picture"]["pixels"])
    assert (negative["picture"]["height"], negative["picture"]["width"], negative["picture"]["channels"]) == (28, 28, 1)
    assert set(pixels) == {255 - round(0.299 * 10 + 0.587 * 200 + 0.114 * 30)}  # ITU-R 601's grey

    resumed = alexplore("runs", "resume", "one")
    assert resumed.returncode == 2
    assert "to train on, give more --epochs" in resumed.stderr
    further = alexplore("runs", "resume", "one", "--epochs", "3", "--set", "training.lr=0.0001")
    assert further.returncode == 0, further.stderr
    assert further.stdout.splitlines()[-1].startswith("epoch 3/3 · loss ")
    assert alexplore("runs", "remove", "one").returncode == 2
    assert alexplore("runs", "remove", "one", "--yes").returncode == 0
    assert not run.path.exists()


def test_a_detached_run_is_stopped_resumed_killed_and_resumed_again(
    alexplore: Alexplore, tiny_preset: Path, tmp_path: Path
) -> None:
    started = alexplore("train", "-p", str(tiny_preset), *LIMITS, "--epochs", "2000", "--detach", "--name", "long")
    assert started.returncode == 0, started.stderr
    assert started.stdout == "long\n"
    run = find_run("long", tmp_path / "runs")
    wait_for_steps(run, 1)

    again = alexplore("runs", "resume", "long", "--detach")
    assert again.returncode == 2
    assert "already being trained" in again.stderr
    assert "being trained" in alexplore("runs", "remove", "long", "--yes").stderr

    assert alexplore("runs", "stop", "long").returncode == 0
    stopped = read_status(run)
    assert stopped.state == "stopped"
    assert stopped.step > 0
    assert alexplore("runs", "stop", "long").returncode == 2

    assert alexplore("runs", "resume", "long", "--detach").returncode == 0
    wait_for_worker(run, lambda: read_status(run).step > stopped.step, "steps after resuming")
    pid = read_status(run).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for_state(run, "crashed")
    crashed = alexplore("runs", "watch", "long")
    assert crashed.returncode == 1
    assert "crashed" in crashed.stderr
    assert "alexplore runs resume long" in crashed.stderr

    assert alexplore("runs", "resume", "long", "--detach").returncode == 0
    wait_for_steps(run, steps_done(run) + 1)
    assert alexplore("runs", "stop", "long").returncode == 0
    attempts = [record["attempt"] for record in LineReader(run.events_file).read()]
    assert sorted(set(attempts)) == [0, 1, 2]
    assert attempts == sorted(attempts)


def test_a_resumed_run_tells_where_it_goes_on_and_nothing_old(
    alexplore: Alexplore, config: RunConfig, tmp_path: Path
) -> None:
    run = create_run(config, tmp_path / "runs", "again")
    with LineWriter(run.events_file, attempt=0) as events:
        events.append(event="epoch", epoch=1, step=4, **{"train/loss": 9.875})
        events.append(event="error", message="an old error")
    write_status(run, Status("failed", step=4, epoch=1.0, updated=1.0, reason="an old error"))
    done = alexplore("runs", "resume", "again")
    assert done.returncode == 0, done.stderr
    assert [line.split(" · ")[0] for line in done.stdout.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    assert "9.875" not in done.stdout
    assert "an old error" not in done.stderr
    lines = done.stderr.splitlines()
    assert lines.index("attempt 2, from step 0") < next(i for i, line in enumerate(lines) if "training on CPU" in line)


@pytest.mark.exhaustive
def test_a_preset_whose_name_begins_with_a_dash_is_trained(
    alexplore: Alexplore, tiny_preset: Path, tmp_path: Path
) -> None:
    for name in ("-dash", ".dot"):
        preset = tiny_preset.rename(tmp_path / f"{name}.toml")
        done = alexplore("train", "-p", str(preset), *LIMITS, "--epochs", "1")
        assert done.returncode == 0, done.stderr
        tiny_preset = preset
    runs = list_runs(tmp_path / "runs")
    assert [run.name[:4] for run in runs] == ["dot-", "dash"]
    assert alexplore("runs", "show", runs[0].name).returncode == 0


@pytest.mark.parametrize("command", [("evaluate",), ("predict", "image.png")])
def test_a_broken_preset_is_told_in_one_line(
    alexplore: Alexplore, tiny_preset: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    tiny_preset.write_text(tiny_preset.read_text().replace("kernel_size = 3", "kernel_size = 99"))
    name, *images = command
    weights = tmp_path / "any.safetensors"
    weights.touch()
    done = alexplore(name, str(tiny_preset), *images, "--weights", str(weights))
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: conv1: the window's height 99 is larger than the input's 30 (28 with padding 1+1): "
    )
    assert len(done.stderr.splitlines()) == 1


def test_bad_data_is_told_in_one_message(alexplore: Alexplore, tiny_preset: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = alexplore("train", "-p", str(tiny_preset), "--dataset", "imagefolder", "--data", str(empty))
    assert done.returncode == 2
    assert str(empty) in done.stderr
    assert "Traceback" not in done.stderr
    assert list_runs(tmp_path / "runs") == []


def test_a_damaged_file_is_named(alexplore: Alexplore, tiny_preset: Path, tmp_path: Path) -> None:
    if not REAL.is_dir():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    folder = tmp_path / "data"
    folder.mkdir()
    for path in REAL.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    images = folder / "train-images-idx3-ubyte.gz"
    content = bytearray(images.read_bytes())
    content[len(content) // 2] ^= 0xFF
    images.write_bytes(content)
    done = alexplore("train", "-p", str(tiny_preset), "--dataset", "fashion-mnist", "--data", str(folder))
    assert done.returncode == 1
    assert "train-images-idx3-ubyte" in done.stderr
    assert "Traceback" not in done.stderr
    assert list_runs(tmp_path / "runs") == []


def test_a_runs_folder_that_can_not_be_written(alexplore: Alexplore, tiny_preset: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = alexplore("train", "-p", str(tiny_preset), "--runs-dir", str(tmp_path / "file" / "runs"))
    assert done.returncode == 1
    assert "--runs-dir" in done.stderr


def test_a_run_that_its_worker_refuses_is_removed(alexplore: Alexplore, tiny_preset: Path, tmp_path: Path) -> None:
    done = alexplore("train", "-p", str(tiny_preset), "--device", "cuda", "--gpus", "99", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    assert "GPU" in done.stderr
    assert "nothing was trained, and the run was removed" in done.stderr
    assert list_runs(tmp_path / "runs") == []


def test_a_run_whose_data_can_not_be_downloaded_is_removed(
    alexplore: Alexplore, tiny_preset: Path, tmp_path: Path
) -> None:
    options = ("train", "-p", str(tiny_preset), "--dataset", "kmnist")
    nowhere = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    done = alexplore(*options, **nowhere)
    assert done.returncode == 1
    assert "Connection refused" in done.stderr and "Traceback" not in done.stderr
    assert list_runs(tmp_path / "runs") == []
    assert [path.name for path in (tmp_path / "cache" / "alexplore" / "kmnist").iterdir()] == ["lock"]


@pytest.mark.exhaustive
def test_a_group_of_ranks_does_not_go_on_with_another_run(
    alexplore: Alexplore, tiny_preset: Path, tmp_path: Path
) -> None:
    options = ("train", "-p", str(tiny_preset), *LIMITS, "--name", "shared", "--runs-dir", str(tmp_path))
    assert alexplore(*options, "--epochs", "1").returncode == 0
    group = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517"}
    done = alexplore(*options, "--epochs", "7", **group)
    assert done.returncode == 2
    assert "belongs to a run with other settings" in done.stderr
    many = alexplore(*options, "--epochs", "1", **{**group, "WORLD_SIZE": "5000"})
    assert "5000 ranks: a batch of" in many.stderr
    again = alexplore(*options, "--epochs", "1", **group)
    assert "other settings" not in again.stderr
    assert again.returncode == 0


def test_a_folder_of_python_files_is_no_hindrance(tmp_path: Path) -> None:
    for name in ("queue", "select", "random"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not meant to be imported')\n")
    program = Path(sys.executable).with_name("alexplore")
    done = subprocess.run([program, "doctor"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "memory" in done.stdout


def test_real_fashion_mnist_is_learnt(alexplore: Alexplore) -> None:
    if not REAL.is_dir():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    done = alexplore(
        "train", "-p", "fmnist-28", "--data", str(REAL), "--device", "cpu",
        "--epochs", "1", "--limit-train", "12000", "--limit-val", "2000", seconds=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    percent = float(done.stdout.split("validation ")[1].split("%")[0])
    assert percent > 65  # after 94 steps; chance is 10
