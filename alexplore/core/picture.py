"""Small 8-bit pictures as plain bytes: for JSON, and to be drawn in a terminal. No torch, no numpy."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Pixel = tuple[int, int, int]
"""Red, green and blue from 0 to 255."""


@dataclass(frozen=True)
class Picture:
    """An 8-bit picture: `height` rows of `width` pixels, each with 1 (grey) or 3 (red, green, blue) `channels`."""

    height: int
    width: int
    channels: int
    data: bytes

    def __post_init__(self) -> None:
        """Check the size.

        Raises:
            ValueError: it has another number of bytes than its size says.
        """
        if len(self.data) != self.height * self.width * self.channels or self.channels not in (1, 3):
            raise ValueError(
                f"{len(self.data)} bytes for {self.height}×{self.width} pixels of {self.channels} channels"
            )

    def pixel(self, row: int, column: int) -> Pixel:
        """Return a pixel."""
        at = (row * self.width + column) * self.channels
        if self.channels == 1:
            return (self.data[at],) * 3
        red, green, blue = self.data[at : at + 3]
        return red, green, blue

    def to_dict(self) -> dict[str, Any]:
        """Return the picture as JSON holds it; `pixels` are its bytes in base 64."""
        size = {"height": self.height, "width": self.width, "channels": self.channels}
        return {**size, "pixels": base64.b64encode(self.data).decode("ascii")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Picture:
        """Return the picture in a JSON object.

        Raises:
            ValueError: it is damaged.
        """
        try:
            return cls(values["height"], values["width"], values["channels"], base64.b64decode(values["pixels"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"a damaged picture: {error}") from None


def scaled(picture: Picture, columns: int, rows: int) -> Picture:
    """Return a picture that fits in `columns` × `rows` pixels, each the mean of the pixels that it covers.

    Its proportions are kept; a picture that fits already is returned as it is.
    """
    factor = min(columns / picture.width, rows / picture.height)
    if factor >= 1:
        return picture
    height, width = max(1, int(picture.height * factor)), max(1, int(picture.width * factor))
    data = bytearray()
    for row in range(height):
        top, bottom = picture.height * row // height, max(picture.height * (row + 1) // height, 1)
        for column in range(width):
            left, right = picture.width * column // width, max(picture.width * (column + 1) // width, 1)
            for channel in range(picture.channels):
                values = [
                    picture.data[(y * picture.width + x) * picture.channels + channel]
                    for y in range(top, max(bottom, top + 1))
                    for x in range(left, max(right, left + 1))
                ]
                data.append(sum(values) // len(values))
    return Picture(height, width, picture.channels, bytes(data))
