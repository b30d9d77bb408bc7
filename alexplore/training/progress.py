"""The position in a training, which checkpoints contain."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from alexplore.runs.protocol import is_step
from alexplore.training.metrics import Tally
from alexplore.training.plateau import Plateau


@dataclass(frozen=True)
class Progress:
    """The position in a training. With the weights and the optimizer state, it determines how the training continues.

    The names of the fields are keys in state.pt.
    """

    step: int = 0
    """Updates of the weights so far."""

    epoch: int = 0
    """Number of finished epochs, each trained and evaluated."""

    epoch_start: int = 0
    """Updates before the current epoch. Epochs differ in length if images were added or removed between attempts."""

    images: int = 0
    """Number of training images in the current epoch."""

    plateau: Plateau = field(default_factory=Plateau)

    best: float | None = None
    """Best value of the recipe's `monitor`, by default the validation accuracy from 0 to 1."""

    waited: int = 0
    """Epochs since that value."""

    line: Tally = field(default_factory=Tally)
    """Training metrics since the last metrics line."""

    whole: Tally = field(default_factory=Tally)
    """Training metrics since the start of the epoch."""

    last_line: dict[str, float] = field(default_factory=dict)
    """The values of the last metrics line."""

    epoch_seconds: float = 0.0
    """Time of training since the start of the epoch."""

    seconds: float = 0.0
    """Time of training and evaluation over all attempts."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as state.pt contains them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], images: int, batch_size: int) -> Progress:
        """Return the progress that `to_dict` has converted to `values`.

        Earlier versions did not record the number of images: it was `images` in all epochs.

        Raises:
            ValueError, KeyError, TypeError: the values can't be those of a training.
        """
        steps = -(-images // batch_size)
        values = {"images": images, "epoch_start": values["epoch"] * steps, **values}
        plateau = Plateau(**values["plateau"])
        read = cls(**{**values, "plateau": plateau, "line": Tally(**values["line"]), "whole": Tally(**values["whole"])})
        tallies = read.line, read.whole
        counts = [read.step, read.epoch, read.epoch_start, read.images, read.waited]
        counts += [plateau.waited, plateau.reductions]
        counts += [count for tally in tallies for count in (tally.correct, tally.images)]
        numbers = [read.epoch_seconds, read.seconds, *(tally.loss for tally in tallies), *read.last_line.values()]
        numbers += [plateau.smallest, *([] if read.best is None else [read.best])]
        if not (all(map(is_step, counts)) and read.epoch_start <= read.step):
            raise ValueError("progress: counts that no training has")
        if not all(type(number) in (int, float) for number in numbers):
            raise TypeError("progress: values that are no numbers")
        return read

    def over(self, images: int) -> Progress:
        """Return the position for `images` training images. If the number has changed, the epoch starts again."""
        if images == self.images:
            return self
        return replace(self, images=images, epoch_start=self.step, line=Tally(), whole=Tally(), epoch_seconds=0.0)
