"""Measure training beside the tutorials' loop, and the cost of watching it.

Both train the same layers on the same random images with the same batch size, by turns in one run (see `turns`). The
tutorials' loop has fp32, `nn.Sequential`, a `DataLoader` that resizes with Pillow, Adam or SGD with default settings,
`nn.LocalResponseNorm` and grouped `nn.Conv2d`. Ours is the worker's loop in the precision that the worker would choose.

    python benchmarks/throughput.py [PRESET | costs | watching]... [--turns N]
"""

from __future__ import annotations

import argparse
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch
from PIL import Image
from results import report
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms  # type: ignore[import-untyped]
from turns import figure, take_turns
from worker_loop import RepeatedSplit, flops_per_image, open_trainer, train_steps
from workers import started_worker

from alexplore.network.analysis import analyse
from alexplore.network.graph import Network
from alexplore.network.layers.activations import ReLU
from alexplore.network.layers.adaptive_pool2d import AdaptiveAvgPool2d
from alexplore.network.layers.conv2d import Conv2d
from alexplore.network.layers.dropout import Dropout
from alexplore.network.layers.flatten import Flatten
from alexplore.network.layers.linear import Linear
from alexplore.network.layers.local_response_norm import LocalResponseNorm
from alexplore.network.layers.pool2d import MaxPool2d
from alexplore.network.windows import pair
from alexplore.presets.library import load_preset
from alexplore.runs.config import DataSource, Hardware, RunConfig
from alexplore.runs.directory import RunDirectory, create_run
from alexplore.runs.lines import LineReader
from alexplore.runs.status import read_status
from alexplore.training import hardware, loop
from alexplore.training.data.dataset import Dataset
from alexplore.training.run_writer import History

CPU = torch.device("cpu")
STEPS = {"fmnist-28": 120}
"""Steps of a turn, for presets whose steps are so short that two of them can't be timed."""

IMAGES = {"fmnist": 60_000, "fmnist-28": 60_000, "torchvision": 1_281_167, "paper": 1_281_167}
"""Images of an epoch: Fashion-MNIST's and ILSVRC-2012's. The longer it is, the rarer are steps that measure layers."""

WINDOWS = 2  # a turn
GOALS = {"fmnist": 2.5, "paper": 3.5}
PEAK_GOALS = {"fmnist": 0.85, "paper": 0.88, "torchvision": 0.85, "fmnist-28": 0.6}
COST_GOAL, WATCHING_GOAL = 0.01, 0.03


class OneAtATime(TorchDataset[tuple[Tensor, int]]):
    """The data set of the tutorials: each image goes through Pillow, `Resize` and `ToTensor`."""

    def __init__(self, images: Tensor, labels: Tensor, size: tuple[int, int]) -> None:
        self.pixels = images.permute(0, 2, 3, 1).numpy()
        self.labels = labels.tolist()
        self.transform = transforms.Compose([transforms.Resize(size), transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = self.pixels[index]
        return self.transform(Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])), self.labels[index]


def plain(network: Network) -> nn.Sequential:
    """Return the layers of a network as a tutorial writes them."""
    modules: list[nn.Module] = []
    for row in analyse(network).rows:
        layer, channels = row.layer, (row.input or (0,))[0]
        match layer:
            case Conv2d():
                sizes = pair(layer.kernel_size), pair(layer.stride), layer.padding
                modules.append(nn.Conv2d(channels, layer.out_channels, *sizes, groups=layer.groups))  # type: ignore[arg-type]
            case LocalResponseNorm():
                modules.append(nn.LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k))
            case MaxPool2d():
                modules.append(nn.MaxPool2d(pair(layer.kernel_size), pair(layer.stride or layer.kernel_size)))
            case AdaptiveAvgPool2d():
                modules.append(nn.AdaptiveAvgPool2d(layer.sizes))
            case Linear():
                modules.append(nn.Linear(channels, layer.out_features))
            case ReLU():
                modules.append(nn.ReLU())
            case Dropout():
                modules.append(nn.Dropout(layer.p))
            case Flatten():
                modules.append(nn.Flatten())
            case _:
                raise TypeError(f"the tutorials have no {layer.type}")
    return nn.Sequential(*modules)


def random_images(preset: str, count: int) -> tuple[Tensor, Tensor]:
    """Return random 8-bit images and labels."""
    channels, side, _ = load_preset(preset).network.input
    side = 28 if channels == 1 else side
    classes = load_preset(preset).network.classes or 10
    images = torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8)
    return images, torch.randint(0, classes, (count,))


@contextmanager
def trainer(preset: str, images: Tensor, labels: Tensor) -> Iterator[tuple[loop.Trainer, History]]:
    """Yield the worker's trainer, stopped where its first epoch would begin, and its events.

    An epoch repeats the images until it is as long as a real one.
    """
    loaded = load_preset(preset)
    split = RepeatedSplit(images, labels, IMAGES[preset], CPU)
    classes = tuple(map(str, range(int(labels.max()) + 1)))
    mean = (0.5,) * images.shape[1]
    dataset = Dataset("made", classes, images.shape[1], mean, mean, split, split)
    recipe = replace(loaded.recipe, epochs=1000, normalize="dataset", resize=None, random_crop=False)
    config = RunConfig(preset, loaded.network, recipe, Hardware(device="cpu"), DataSource())
    with tempfile.TemporaryDirectory() as folder:
        yield open_trainer(config, Path(folder), "run", CPU, dataset)


def tutorial(preset: str) -> None:
    """For every line of stdin, run the tutorials' loop over a turn's images, with DataLoader, and print its seconds."""
    loaded = load_preset(preset)
    model, recipe = plain(loaded.network), loaded.recipe
    optimizer: torch.optim.Optimizer
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    else:
        optimizer = torch.optim.Adam(model.parameters(), recipe.lr)
    images = OneAtATime(*random_images(preset, STEPS.get(preset, 2) * recipe.batch_size), loaded.network.input[1:])
    loader = DataLoader(images, recipe.batch_size, shuffle=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        total = 0.0
        for inputs, wanted in loader:
            loss = nn.functional.cross_entropy(model(inputs), wanted)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item()
        print(time.perf_counter() - started, flush=True)


@contextmanager
def tutorials(preset: str) -> Iterator[Callable[[], float]]:
    """Yield a function that returns the seconds of a turn of the tutorials' loop, which runs in its own process."""
    command = [sys.executable, __file__, "--tutorial", preset]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    stdin, stdout = process.stdin, process.stdout

    def turn() -> float:
        stdin.write("\n")
        stdin.flush()
        return float(stdout.readline())

    try:
        yield turn
    finally:
        process.kill()
        process.wait()


def against_tutorials(preset: str, turns: int) -> None:
    """Report images a second of both loops, their ratio, and our share of the peak."""
    steps = STEPS.get(preset, 2)
    count = steps * load_preset(preset).recipe.batch_size
    images, labels = random_images(preset, count)
    with trainer(preset, images, labels) as (trained, history), tutorials(preset) as theirs:
        precision, flops = trained.precision.name, flops_per_image(history)
        taken = take_turns({"ours": partial(train_steps, trained, steps), "tutorials": theirs}, precision, turns)
    name = f"{preset}, batch {load_preset(preset).recipe.batch_size}, {precision}"
    report(name, figure([count / turn.seconds["ours"] for turn in taken.counted]), "images/s", ".1f")
    if preset in GOALS:
        ratio = taken.ratio("tutorials", "ours")
        report(f"{name}, over the tutorials' loop", ratio, goal=str(GOALS[preset]), turns=taken)
    share = taken.share_of_peak("ours", count * flops)
    report(f"{name}, share of the peak", share, "of the peak", ".1%", f"{PEAK_GOALS[preset]:.0%}", taken)


def costs(turns: int) -> None:
    """Report the share of a step that metrics and control take, for `fmnist-28`, whose steps are the shortest."""
    images, labels = random_images("fmnist-28", 100 * 128)
    spent = [0.0]

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                spent[0] += time.perf_counter() - started

        return call

    shares = []
    with trainer("fmnist-28", images, labels) as (trained, _):
        trained.log.add = timed(trained.log.add)  # type: ignore[method-assign]
        trained.sync_points.step = timed(trained.sync_points.step)  # type: ignore[method-assign]
        trained._sync = timed(trained._sync)  # type: ignore[method-assign]
        for turn in range(turns + 1):
            spent[0], started = 0.0, time.perf_counter()
            while time.perf_counter() - started < 3:
                train_steps(trained, 100)
            if turn:
                shares.append(spent[0] / (time.perf_counter() - started))
    report("fmnist-28: metrics and control", figure(shares), "of the time", ".2%", f"at most {COST_GOAL:.0%}")


def watching(turns: int) -> None:
    """Report a worker's images a second while the app shows it in a terminal, beside those while the app is suspended.

    Both are measured in short windows by turns, because other programs change the speed by more than the app does.
    """
    loaded = load_preset("fmnist-28")
    with tempfile.TemporaryDirectory() as folder:
        recipe = replace(loaded.recipe, dataset="synthetic", epochs=1000)
        config = RunConfig("fmnist-28", loaded.network, recipe, Hardware(device="cpu"), DataSource(limit_train=60_000))
        run = create_run(config, Path(folder), "run")
        with started_worker(run):
            while read_status(run).step < 100:
                time.sleep(0.2)
            pairs, shares = [], []
            with app_on(run) as process:
                time.sleep(60)  # it opens, and polls less often
                for _ in range(WINDOWS * turns):
                    process.suspend()
                    alone = rate(run)
                    process.resume()
                    before, started = sum(process.cpu_times()[:2]), time.perf_counter()
                    watched = rate(run)
                    used = sum(process.cpu_times()[:2]) - before
                    shares.append(used / (time.perf_counter() - started) / (os.cpu_count() or 1))
                    pairs.append((watched, alone))
    slower = figure([1 - watched / alone for watched, alone in pairs])
    report("fmnist-28, watched in the app", slower, "slower than unwatched", ".1%", f"at most {WATCHING_GOAL:.0%}")
    report("fmnist-28, the app's share of the processors", figure(shares), "", ".1%")


def rate(run: RunDirectory, over: float = 20.0) -> float:
    """Return the steps a second within an epoch, by the times of metrics lines."""
    reader = LineReader(run.metrics_file)
    while reader.read():
        pass
    lines: list[dict[str, Any]] = []
    deadline = time.monotonic() + over
    while time.monotonic() < deadline:
        lines += reader.read()
        time.sleep(0.2)
    return float((lines[-1]["step"] - lines[0]["step"]) / (lines[-1]["time"] - lines[0]["time"]))


@contextmanager
def app_on(run: RunDirectory) -> Iterator[psutil.Process]:
    """Yield the process of the app, which watches a run in its own terminal."""
    command = [sys.executable, "-m", "alexplore", "tui", "--run", run.name, "--runs-dir", str(run.path.parent)]
    pid, screen = pty.fork()
    if pid == 0:
        os.execve(command[0], command, {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"})
    reader = subprocess.Popen(["cat"], stdin=screen, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield psutil.Process(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(screen)
        reader.kill()
        reader.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="*", choices=[*PEAK_GOALS, "costs", "watching", []], help="all if left out")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--tutorial", choices=[*PEAK_GOALS], help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.tutorial:
        tutorial(chosen.tutorial)
        sys.exit()
    hardware.prepare(CPU)  # as the worker does
    print(f"{os.cpu_count()} processors, {torch.get_num_threads()} threads, torch {torch.__version__}", flush=True)
    for name in chosen.what or [*PEAK_GOALS, "costs", "watching"]:
        if name in PEAK_GOALS:
            against_tutorials(name, chosen.turns)
        else:
            {"costs": costs, "watching": watching}[name](chosen.turns)
        sys.stdout.flush()
