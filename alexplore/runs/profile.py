"""The time of each layer of a network, measured by a separate process, which imports torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alexplore.runs.commands import command_output
from alexplore.runs.config import RunConfig


@dataclass(frozen=True)
class LayerProfile:
    """A layer's median times in seconds for a batch.

    `flops` are the operations by weights of both passes for one image, and `macs` those of the forward pass. The
    spreads are the interquartile range of the rounds divided by the median.
    """

    name: str
    type: str
    macs: int
    forward_seconds: float
    forward_spread: float
    backward_seconds: float
    backward_spread: float
    flops: int

    @property
    def seconds(self) -> float:
        """Seconds of both passes."""
        return self.forward_seconds + self.backward_seconds


@dataclass(frozen=True)
class Profile:
    """The times of a network's layers, and of the whole network in one pass.

    `peak_flops` are the operations a second of a large matrix multiplication on the same device.
    """

    device: str
    device_name: str
    threads: int
    precision: str
    batch: int
    rounds: int
    peak_flops: float
    whole_seconds: float
    whole_spread: float
    layers: tuple[LayerProfile, ...]

    @property
    def sum_seconds(self) -> float:
        """The sum of the layers' times."""
        return sum(layer.seconds for layer in self.layers)

    @property
    def whole_peak_share(self) -> float:
        """The share of the peak that the whole network reaches."""
        return self._share(sum(layer.flops for layer in self.layers), self.whole_seconds)

    def peak_share(self, layer: LayerProfile) -> float | None:
        """Return the share of the peak that a layer reaches; None for a layer that doesn't multiply by weights."""
        return self._share(layer.flops, layer.seconds) if layer.flops else None

    def _share(self, flops: int, seconds: float) -> float:
        return flops * self.batch / (seconds * self.peak_flops) if seconds > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the profile as `alexplore profile --json` prints it; times are in milliseconds."""
        layers = [
            {
                "name": layer.name,
                "type": layer.type,
                "macs": layer.macs,
                "forward_ms": 1000 * layer.forward_seconds,
                "forward_spread": layer.forward_spread,
                "backward_ms": 1000 * layer.backward_seconds,
                "backward_spread": layer.backward_spread,
                "peak_share": self.peak_share(layer),
            }
            for layer in self.layers
        ]
        totals = {
            "sum_ms": 1000 * self.sum_seconds,
            "whole_ms": 1000 * self.whole_seconds,
            "whole_spread": self.whole_spread,
            "peak_share": self.whole_peak_share,
            "images_per_second": self.batch / self.whole_seconds if self.whole_seconds else None,
        }
        own = ("device", "device_name", "threads", "precision", "batch", "rounds", "peak_flops")
        return {**{key: getattr(self, key) for key in own}, "layers": layers, "totals": totals}


def measure_profile(config: RunConfig) -> Profile:
    """Return the times of the layers of a config's network, on its device, with its batch size and precision.

    It takes some seconds, and the time of importing torch. The process's stderr is this one's.

    Raises:
        CommandError: the process failed.
        StartError: PyTorch is not installed.
    """
    values: Mapping[str, Any] = json.loads(command_output("profile", [], content=config.to_json()))
    layers = tuple(LayerProfile(**layer) for layer in values["layers"])
    return Profile(**{**values, "layers": layers})
