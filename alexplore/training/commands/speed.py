"""The speed of a planned training, measured in a few steps on random images.

Reads a run's config from stdin, and prints a line of JSON with the images a second after every step. It takes a few
seconds. Reading and preparing images is not measured.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from alexplore.core.boundary import print_data, print_error, run_guarded
from alexplore.core.process_exit import exit_process
from alexplore.runs.config import RunConfig, parse_config
from alexplore.runs.preflight import count_outputs
from alexplore.training.hardware import check_network, choose_device, choose_ranks, prepare
from alexplore.training.kernels.table import choose_kernels
from alexplore.training.model.build import build, check_classifier
from alexplore.training.model.shared_batch_norm import tolerate_small_batches
from alexplore.training.objective import Objective
from alexplore.training.optim import make_optimizer
from alexplore.training.precision import Precision
from alexplore.training.timing import wall_seconds

FEW_IMAGES = 4  # of the first step, which shows how long an image takes
STEP_SECONDS = 0.2  # that a step should take
MEASURED_SECONDS = 3.0


def speeds(config: RunConfig, device: torch.device) -> Iterator[float]:
    """Yield the images a second of training on a device after each step: those of the fastest step so far.

    Other programs slow steps down, and so does a new number of images; the first step of all is not counted. A step has
    as many images as take `STEP_SECONDS`, and no more than a batch. With several GPUs, the speed of one is multiplied
    by their number.
    """
    recipe, network = config.recipe, config.network
    check_classifier(network)
    ranks = choose_ranks(config, device) if device.type == "cuda" else 1
    model = build(network, seed=0, kernels=choose_kernels(device.type)).to(device).train()
    tolerate_small_batches(model)
    objective = Objective(model, recipe, Precision("fp32" if recipe.precision == "auto" else recipe.precision, device))
    optimizer = make_optimizer(recipe, model)
    inputs = torch.randn(recipe.batch_size, *network.input, device=device)
    labels = torch.randint(count_outputs(network) or 1, (recipe.batch_size,), device=device)

    def seconds(count: int) -> float:
        def step() -> None:
            loss, _ = objective(inputs[:count], labels[:count])
            torch.autograd.backward(loss / count)
            optimizer.step()
            optimizer.zero_grad()

        return wall_seconds(step, device)

    count, fastest, total = min(FEW_IMAGES, recipe.batch_size), 0.0, 0.0
    seconds(count)
    while total < MEASURED_SECONDS:
        taken = seconds(count)
        total += taken
        fastest = max(fastest, count / taken)
        yield ranks * fastest
        count = min(recipe.batch_size, max(count, int(fastest * STEP_SECONDS)))


def measure_speed() -> int:
    """Print the speed of the config on stdin after every step; return the exit code."""
    config = parse_config(sys.stdin.read(), Path("stdin"))
    device = choose_device(config.hardware)
    check_network(config)
    prepare(device)
    for speed in speeds(config, device):
        print_data(json.dumps({"images_per_second": speed}))
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    exit_process(run_guarded(measure_speed, print_error))
