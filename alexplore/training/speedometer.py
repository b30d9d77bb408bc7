"""How fast a run trains: images a second, as the mean of the last seconds."""

from __future__ import annotations

from collections import deque

MEAN_SECONDS = 20.0
"""Seconds of training over which the speed is averaged."""


class Speedometer:
    """Averages the speed over the last `MEAN_SECONDS` of training, so that a single step has little influence."""

    def __init__(self) -> None:
        self._parts: deque[tuple[int, float]] = deque()
        self._images, self._seconds = 0, 0.0

    def add(self, images: int, seconds: float) -> None:
        """Count images that took `seconds` of training."""
        self._parts.append((images, seconds))
        self._images += images
        self._seconds += seconds
        while self._seconds - self._parts[0][1] >= MEAN_SECONDS:
            old_images, old_seconds = self._parts.popleft()
            self._images -= old_images
            self._seconds -= old_seconds

    @property
    def images_per_second(self) -> float:
        """The mean speed; 0 before the first image."""
        return self._images / max(self._seconds, 1e-6)
