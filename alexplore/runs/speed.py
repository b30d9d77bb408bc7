"""Measure the speed of a planned training on this machine in a separate process, which imports torch."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from alexplore.core.processes import starting
from alexplore.runs.commands import command_line
from alexplore.runs.config import RunConfig


class SpeedMeasurement:
    """Measures the images a second of a config in training, in a `with` statement.

    Iterate over it: each number is over more steps than the one before. Another thread may `stop` it.
    """

    def __init__(self, config: RunConfig) -> None:
        """Start the process.

        Raises:
            StartError: PyTorch is not installed, or no process can be started.
        """
        with starting("the process that measures the speed"):
            self._process = subprocess.Popen(
                command_line("speed", []),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
            )
        self._config = config

    def __enter__(self) -> Self:
        """Return the measurement."""
        return self

    def __iter__(self) -> Iterator[float]:
        """Yield the images a second as they are measured; nothing if the network can't be trained here."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            with self._process.stdin as stdin:
                stdin.write(self._config.to_json())
        except BrokenPipeError:
            return  # it was stopped, or has ended with an error
        for line in self._process.stdout:
            yield float(json.loads(line)["images_per_second"])

    def stop(self) -> None:
        """End the process."""
        self._process.kill()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the process if it still runs."""
        self._process.kill()
        with self._process:
            pass
