"""The time that each layer of a network takes: reads a run's config from stdin, prints one JSON object."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from alexplore.core.boundary import print_data, print_error, run_guarded
from alexplore.core.process_exit import exit_process
from alexplore.network.analysis import analyse
from alexplore.runs.config import parse_config
from alexplore.training.hardware import check_memory, check_network, choose_device, device_name, prepare
from alexplore.training.precision import Precision
from alexplore.training.profiling import measure_layers


def profile() -> int:
    """Measure the network of the config on stdin, on its device, batch and precision; return the exit code."""
    config = parse_config(sys.stdin.read(), Path("stdin"))
    device = choose_device(config.hardware)
    check_network(config)
    if device.type == "cpu":
        check_memory(config, 1)
    prepare(device)
    batch, rows = config.recipe.batch_size, analyse(config.network).rows
    precision = Precision("fp32" if config.recipe.precision == "auto" else config.recipe.precision, device)
    times = measure_layers(config.network, [row.macs for row in rows], batch, precision)
    values = {
        "device": device.type,
        "device_name": device_name(device),
        "threads": torch.get_num_threads(),
        "precision": precision.name,
        "batch": batch,
        "rounds": len(times.whole.seconds),
        "peak_flops": times.peak_flops,
        "whole_seconds": times.whole.median,
        "whole_spread": times.whole.spread,
        "layers": [
            {
                "name": row.layer.name,
                "type": row.layer.type,
                "macs": row.macs,
                "forward_seconds": layer.forward.median,
                "forward_spread": layer.forward.spread,
                "backward_seconds": layer.backward.median,
                "backward_spread": layer.backward.spread,
                "flops": layer.flops,
            }
            for row, layer in zip(rows, times.layers, strict=True)
        ],
    }
    print_data(json.dumps(values))
    return 0


if __name__ == "__main__":
    exit_process(run_guarded(profile, print_error))
