"""The interface for the training loop: measure steps, collect predictions, and write a file at the end of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from alexplore.network.graph import Network
from alexplore.runs.directory import RunDirectory
from alexplore.runs.inside import Confusion, InsideEpoch, Mistake, ShownImage, remove_after, save_epoch
from alexplore.runs.metrics import LAYER_METRICS
from alexplore.runs.protocol import WarningEvent
from alexplore.training.data.dataset import Dataset, indices_read
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.inside.answers import LARGEST_SIDE, MOST_LIKELY, Answers, shown_images
from alexplore.training.inside.appearance import SHOWN, kernel_grid, look_at, weight_histograms
from alexplore.training.inside.layer_figures import LayerFigures, Measurement, is_measured
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.parallel.towers import TowerState
from alexplore.training.precision import Precision
from alexplore.training.run_writer import RunWriter
from alexplore.training.whole_state import WholeState

SAMPLE = 64
"""Number of validation images whose activations are recorded."""


class Recorder:
    """Records the inside of a network: gradients, updates, distributions, kernels and feature maps."""

    def __init__(
        self,
        *,
        run: RunDirectory,
        network: Network,
        model: nn.Module,
        evaluated: nn.Module,
        dataset: Dataset,
        preprocess: Preprocess,
        precision: Precision,
        state: WholeState | TowerState,
        ranks: Ranks,
        writer: RunWriter,
        batch_size: int,
    ) -> None:
        """`model` is trained; `evaluated` has the weights that are evaluated and saved, which may be their average."""
        self._run, self._network, self._model = run, network, evaluated
        self._dataset, self._preprocess, self._precision = dataset, preprocess, precision
        self._state, self._ranks, self._writer = state, ranks, writer
        self._figures = LayerFigures(network, model, state, ranks)
        self._answers: Answers | None = None
        self._sample_size = min(SAMPLE, max(SHOWN, batch_size), len(dataset.val))
        self._sample: tuple[Tensor, Tensor, Tensor] | None = None  # images, labels, indices
        self._failed = False

    def remove_after(self, epoch: int) -> None:
        """Remove the records of an earlier attempt of epochs that are trained again."""
        if self._ranks.rank == 0:
            self._try("what was recorded of later epochs can't be removed", lambda: remove_after(self._run, epoch))

    def is_measured(self, place: int, interval: int, steps_per_epoch: int) -> bool:
        """Return whether the layers are measured in a step; `place` is its number if all epochs were like this one."""
        return is_measured(place, interval, steps_per_epoch)

    def measuring(self) -> AbstractContextManager[Measurement]:
        """Measure the layers in the step that is done in the `with` block."""
        return self._figures.measuring()

    def keep(self, step: int, row: Tensor) -> None:
        """Keep the `Measurement.row` of the step after which `step` updates are done."""
        self._figures.keep(step, row)

    def take_figures(self) -> Mapping[int, Mapping[str, float]]:
        """Return the measured figures by step and key. This waits for the device; all ranks must call it together."""
        return self._figures.take()

    def new_answers(self) -> Answers | None:
        """Return a new object that collects the predictions of an evaluation."""
        self._answers = Answers(len(self._dataset.classes), self._preprocess.device)
        return self._answers

    def record(self, epoch: int, step: int, last_line: Mapping[str, float]) -> None:
        """Write the file of an epoch that was trained and evaluated. All ranks must call it together.

        If the disk is full, nothing is recorded: a warning is written, and the training continues.
        """
        confusion: Confusion | None = None
        mistakes: tuple[Mistake, ...] = ()
        view, path_of = self._view, self._dataset.val.path
        if self._answers is not None:
            confusion = self._answers.confusion(self._ranks)
            mistakes = self._answers.mistakes(self._ranks, view, path_of)
        kernels = kernel_grid(self._network, self._model, self._state)
        weights = weight_histograms(self._network, self._model, self._state)
        images: tuple[ShownImage, ...] = ()
        outputs = None
        if self._ranks.towers or self._ranks.rank == 0:
            pixels, labels, indices = self._fixed_images()
            if len(pixels):
                inputs = self._preprocess.test(pixels)
                outputs = look_at(inputs, self._network, self._model, self._state, self._precision)
                likely = outputs.scores[:SHOWN].softmax(1).topk(min(MOST_LIKELY, outputs.scores.shape[1]))
                shown = view(pixels[:SHOWN]), indices[:SHOWN], labels[:SHOWN]
                images = tuple(shown_images(*shown, likely.indices, likely.values, path_of))
        self._answers = None  # at the end: what needs memory may be done twice, see `CapturedWork.beside`
        if self._ranks.rank:
            return
        named = {number for one in (*images, *mistakes) for number, _ in one.probabilities}
        named |= {one.truth for one in (*images, *mistakes)} | set(confusion.classes if confusion else ())
        recorded = InsideEpoch(
            epoch=epoch,
            step=step,
            figures={key: value for key, value in last_line.items() if key.partition("/")[0] in LAYER_METRICS},
            classes={number: self._dataset.classes[number] for number in sorted(named)},
            weights=weights,
            activations=outputs.histograms if outputs else (),
            kernels=kernels,
            images=images,
            maps=outputs.maps if outputs else (),
            confusion=confusion,
            mistakes=mistakes,
        )
        lost = f"what the network looks like after epoch {epoch} is not recorded"
        self._try(lost, lambda: save_epoch(self._run, recorded))

    def _view(self, images: Tensor) -> Tensor:
        return self._preprocess.view(images, LARGEST_SIDE)

    def _fixed_images(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return some validation images, labels and indices, evenly spaced, always the same: the shown ones first."""
        if self._sample is None:
            count, size = len(self._dataset.val), self._sample_size
            spaced = (2 * torch.arange(SHOWN) + 1) * count // (2 * SHOWN)
            others = torch.arange(size) * count // max(1, size)
            chosen = torch.tensor(list(dict.fromkeys([*spaced.tolist(), *others.tolist()]))[:size])
            images, labels = next(self._dataset.val.batches(chosen, max(1, size)))
            self._sample = images, labels, indices_read(self._dataset.val, chosen, len(labels))
        return self._sample

    def _try(self, lost: str, action: Callable[[], None]) -> None:
        """Write to the run's files; if that fails, report once what is lost, until it works again."""
        try:
            action()
        except OSError as error:
            if not self._failed:
                self._writer.event(WarningEvent(f"{lost}: {error.strerror}; the training goes on"))
            self._failed = True
        else:
            self._failed = False


class NoRecorder(Recorder):
    """Records nothing: for a recipe with `inside = false`."""

    def __init__(self) -> None:
        pass

    def remove_after(self, epoch: int) -> None:
        pass

    def is_measured(self, place: int, interval: int, steps_per_epoch: int) -> bool:
        return False

    def take_figures(self) -> Mapping[int, Mapping[str, float]]:
        return {}

    def new_answers(self) -> Answers | None:
        return None

    def record(self, epoch: int, step: int, last_line: Mapping[str, float]) -> None:
        pass
