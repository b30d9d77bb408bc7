"""How a trained network classifies one image, and why, measured by a separate process, which imports torch.

The answer has the feature maps of a layer, the receptive field of one of its units, and a Grad-CAM heat map, which
shows the pixels that raised the score of a class.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alexplore.core.picture import Picture
from alexplore.runs.commands import command_output
from alexplore.runs.inside import FeatureMaps, Quantised
from alexplore.runs.look_request import LookRequest

Box = tuple[int, int, int, int]
"""First row, first column, row after the last and column after the last, in pixels; negative in the padding."""


@dataclass(frozen=True, eq=False)
class Look:
    """How a network classifies an image.

    `picture` is the image as the network sees it, in the size of its input. `classes` are the most likely ones with
    their probabilities, `truth` the image's own class if that is known. `maps` (channels, height, width) are the
    outputs of `layer`. `box` is the receptive field of the requested unit, and `value` its output. `heat` is the
    Grad-CAM heat map of the class `cam`, from 0 to 255 for each pixel.
    """

    image: str
    picture: Picture
    classes: tuple[tuple[str, float], ...]
    truth: str | None
    layer: str
    maps: Quantised
    box: Box | None = None
    value: float | None = None
    cam: str | None = None
    heat: Picture | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """The channels, height and width of the layer's output."""
        channels, height, width = self.maps.codes.shape
        return channels, height, width

    @property
    def feature_maps(self) -> FeatureMaps:
        """The outputs of the layer, all channels."""
        return FeatureMaps(self.layer, 0, self.shape, tuple(range(self.shape[0])), self.maps)

    def to_dict(self) -> dict[str, Any]:
        """Return the answer for a line of JSON."""
        maps = self.maps
        return {
            "image": self.image,
            "picture": self.picture.to_dict(),
            "classes": [list(one) for one in self.classes],
            "truth": self.truth,
            "layer": self.layer,
            "shape": list(maps.codes.shape),
            "maps": base64.b64encode(np.ascontiguousarray(maps.codes).tobytes()).decode("ascii"),
            "low": maps.low.tolist(),
            "high": maps.high.tolist(),
            "box": None if self.box is None else list(self.box),
            "value": self.value,
            "cam": self.cam,
            "heat": self.heat.to_dict() if self.heat else None,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Look:
        """Return the answer from the values of a line of JSON."""
        codes = np.frombuffer(base64.b64decode(values["maps"]), np.uint8).reshape(values["shape"])
        low, high = (np.array(values[key], np.float32) for key in ("low", "high"))
        return cls(
            image=values["image"],
            picture=Picture.from_dict(values["picture"]),
            classes=tuple((name, share) for name, share in values["classes"]),
            truth=values["truth"],
            layer=values["layer"],
            maps=Quantised(codes, low, high),
            box=None if values["box"] is None else tuple(values["box"]),
            value=values["value"],
            cam=values["cam"],
            heat=Picture.from_dict(values["heat"]) if values["heat"] else None,
        )


def look(source: Path, request: LookRequest) -> Look:
    """Return how the network of a run's folder classifies an image. This takes as long as importing torch.

    Raises:
        CommandError: the image can't be classified.
        StartError: PyTorch is not installed.
    """
    printed = command_output("look", [*request.arguments(), "--", str(source)], keep_errors=True)
    return Look.from_dict(json.loads(printed.splitlines()[-1]))
