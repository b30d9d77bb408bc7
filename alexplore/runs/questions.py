"""What a network is asked about an image. It costs nothing to import; `look.py` asks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A question to a network: about the image in the file `image`, or the validation image with the number `index`.

    `layer` is the last convolution if left out. `unit` is one of its outputs: `channel,row,column`. `cam` asks which
    part of the image spoke for a class: its name, its number, or `guess`.
    """

    image: str | None = None
    index: int | None = None
    layer: str | None = None
    unit: str | None = None
    cam: str | None = None

    def arguments(self) -> list[str]:
        """Return the question as the process takes it."""
        return [f"--{key}={value}" for key, value in vars(self).items() if value is not None]
