"""The request that `look.py` sends about an image, in a separate module that is quick to import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LookRequest:
    """A request to classify the image in the file `image`, or the validation image with the number `index`.

    `layer` names the layer whose feature maps are wanted: the last convolution if None. `unit` is one of its outputs,
    `channel,row,column`. `cam` is the class of the Grad-CAM heat map: its name, its number, or `guess`.
    """

    image: str | None = None
    index: int | None = None
    layer: str | None = None
    unit: str | None = None
    cam: str | None = None

    def arguments(self) -> list[str]:
        """Return the request as command-line arguments of the process."""
        return [f"--{key}={value}" for key, value in vars(self).items() if value is not None]
