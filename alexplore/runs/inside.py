"""What a network looked like after an epoch: the files of a run's folder `inside/`.

Only this module reads and writes them. Each file `epoch-0003.safetensors` holds one `InsideEpoch`: the arrays as
tensors, everything else as JSON in the file's metadata. The worker writes, the command line and the app read. No torch.

The size of the folder is bounded: see `thinned`. Loading a file that is damaged, or that another program wrote, raises
`InsideError`; the others can still be read.
"""

from __future__ import annotations

import errno
import json
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from alexplore.core.atomic_files import write_atomically
from alexplore.core.errors import AlexploreError
from alexplore.core.picture import Picture
from alexplore.core.regular_files import FileKindError, open_regular, parse_json
from alexplore.runs.directory import RunDirectory
from alexplore.runs.lines import finite, read_number

VERSION = 1
"""Version of the files' format."""

MOST_FILES = 200
MOST_BYTES = 6 * 2**20
"""Limits of the folder; above them, files between the first and the last epoch are removed."""

LARGEST_FILE = 64 * 2**20
"""The most bytes of a file that is read; written files have about 100 kB."""

MOST_FINITE = 1e30
"""What an infinite number is replaced by: the difference of two such numbers is finite in fp32."""

BINS = 64
"""Bins of a histogram."""

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


class InsideError(AlexploreError):
    """An epoch was not recorded or can't be read; the message names the file."""


@dataclass(frozen=True, eq=False)
class Quantised:
    """Numbers as 8-bit codes: `codes` (N, …) in uint8; code 0 of item n is `low[n]`, code 255 is `high[n]`."""

    codes: Bytes
    low: Floats
    high: Floats

    @classmethod
    def of(cls, values: Floats) -> Self:
        """Return float32 values (N, …) as codes; the error is at most (high - low) / 510. NaN counts as 0."""
        flat = values.reshape(len(values), -1).astype(np.float32)
        flat = np.nan_to_num(flat, posinf=MOST_FINITE, neginf=-MOST_FINITE)
        low, high = flat.min(1), flat.max(1)
        span = np.where(high > low, high - low, 1)
        codes = np.rint((flat - low[:, None]) / span[:, None] * 255).astype(np.uint8)
        return cls(codes.reshape(values.shape), low, high)

    def __len__(self) -> int:
        return len(self.codes)

    def values(self) -> Floats:
        """Return the numbers as float32, shape of `codes`."""
        shape = (-1, *(1,) * (self.codes.ndim - 1))
        low, high = self.low.reshape(shape), self.high.reshape(shape)
        numbers: Floats = low + self.codes.astype(np.float32) / 255 * (high - low)
        return numbers


@dataclass(frozen=True)
class LayerHistogram:
    """How a layer's weights or outputs are distributed.

    `counts` are the numbers of values in `BINS` equal bins from `-limit` to `limit`, a power of two; values outside are
    counted in the outermost bins. So the histograms of two epochs can be compared after `widened`. `zero_share` is the
    share of the values that are exactly 0. `dead_share` is the share of the units (channels of maps, features of
    vectors) whose output is 0 for every recorded image; None for weights and for layers that don't output exact zeros.
    """

    layer: str
    counts: tuple[int, ...]
    limit: float
    mean: float
    std: float
    minimum: float
    maximum: float
    zero_share: float = 0.0
    dead_share: float | None = None

    @property
    def edges(self) -> tuple[float, ...]:
        """The `BINS` + 1 edges of the bins, rising."""
        width = 2 * self.limit / len(self.counts)
        return tuple(-self.limit + width * index for index in range(len(self.counts) + 1))

    def widened(self, limit: float) -> LayerHistogram:
        """Return the histogram over bins from `-limit` to `limit`, which is this one's limit times a power of two."""
        counts, now = list(self.counts), self.limit
        while now < limit:
            pairs = [counts[index] + counts[index + 1] for index in range(0, len(counts), 2)]
            margin = [0] * (len(pairs) // 2)
            counts, now = [*margin, *pairs, *margin], 2 * now
        return replace(self, counts=tuple(counts), limit=now)


@dataclass(frozen=True, eq=False)
class KernelGrid:
    """The kernels (count, channels, height, width) of the network's first convolution.

    With `towers` > 1 the first `count / towers` kernels are those of the first tower, and so on (paper, figure 3).
    `total` is the layer's number of kernels, which may be more than are recorded.
    """

    layer: str
    kernels: Quantised
    towers: int
    total: int


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """Some output channels of a convolution for one of the fixed images.

    `maps` (channels, height, width) are those of the output channels `channels`, reduced in size if they are large;
    `shape` is the layer's whole output (channels, height, width). `image` is the position in `InsideEpoch.images`.
    """

    layer: str
    image: int
    shape: tuple[int, int, int]
    channels: tuple[int, ...]
    maps: Quantised


@dataclass(frozen=True)
class ShownImage:
    """A validation image as the network sees it, and the network's answer.

    `index` is the image's position in the validation set, `name` the path of its file if it has one, and `truth` the
    number of its class. `probabilities` are the most likely classes, the most likely first. `picture` is reduced in
    size if the image is large.
    """

    picture: Picture
    index: int
    truth: int
    probabilities: tuple[tuple[int, float], ...]
    name: str | None = None

    @property
    def guess(self) -> int:
        """The number of the most likely class."""
        return self.probabilities[0][0]


@dataclass(frozen=True)
class Mistake(ShownImage):
    """A validation image that the network classifies wrongly; `loss` is its cross-entropy in nats."""

    loss: float = 0.0


@dataclass(frozen=True, eq=False)
class Confusion:
    """A confusion matrix: `counts[i, j]` images of class `classes[i]` are predicted as class `classes[j]`.

    Of many classes it has only those with the most mistakes. `images[i]` is the number of validation images of class
    `classes[i]`, including images that are predicted as a class outside the matrix.
    """

    classes: tuple[int, ...]
    counts: NDArray[np.uint32]
    images: tuple[int, ...]

    @property
    def percentages(self) -> NDArray[np.uint32]:
        """The counts in whole percent of each class's images."""
        totals = np.maximum(1, np.array(self.images, np.float64))[:, None]
        shares: NDArray[np.uint32] = np.rint(100 * self.counts / totals).astype(np.uint32)
        return shares

    def recall(self, position: int) -> float:
        """Return the share of a class's images that are classified correctly, 0 to 1."""
        return int(self.counts[position, position]) / max(1, self.images[position])

    def worst(self, most: int = 10) -> list[tuple[int, int, int]]:
        """Return the most frequent confusions as (true class, guessed class, images), the most frequent first."""
        pairs = [
            (truth, guess, int(self.counts[i, j]))
            for i, truth in enumerate(self.classes)
            for j, guess in enumerate(self.classes)
            if i != j and self.counts[i, j]
        ]
        return sorted(pairs, key=lambda pair: -pair[2])[:most]


@dataclass(frozen=True, eq=False)
class InsideEpoch:
    """What the network looked like after `epoch` epochs and `step` updates of the weights.

    `figures` are the layers' metrics at the epoch's last step by their keys in `metrics.jsonl`, such as
    `grad_norm/conv1`. `classes` are the names of the classes that occur here by their numbers. `weights` and
    `activations` are in the order of the layers; activations are those for some fixed validation images.
    """

    epoch: int
    step: int
    figures: Mapping[str, float] = field(default_factory=dict)
    classes: Mapping[int, str] = field(default_factory=dict)
    weights: tuple[LayerHistogram, ...] = ()
    activations: tuple[LayerHistogram, ...] = ()
    kernels: KernelGrid | None = None
    images: tuple[ShownImage, ...] = ()
    maps: tuple[FeatureMaps, ...] = ()
    confusion: Confusion | None = None
    mistakes: tuple[Mistake, ...] = ()

    def class_name(self, number: int) -> str:
        """Return the name of a class; its number if the name is not known."""
        return self.classes.get(number, str(number))

    def maps_of(self, layer: str) -> tuple[FeatureMaps, ...]:
        """Return the maps of a layer, one entry for each fixed image."""
        return tuple(maps for maps in self.maps if maps.layer == layer)


# The folder

FILE_NAME = re.compile(r"epoch-(\d{4,9})\.safetensors")


def inside_file(run: RunDirectory, epoch: int) -> Path:
    """Return the path of an epoch's file."""
    return run.inside_folder / f"epoch-{epoch:04d}.safetensors"


def recorded_epochs(run: RunDirectory) -> tuple[int, ...]:
    """Return the epochs that have a file, rising; the first epoch is 1. Whether a file can be read is not checked."""
    return tuple(sorted(_sizes(run)))


def load_epoch(run: RunDirectory, epoch: int) -> InsideEpoch:
    """Return what was recorded of an epoch.

    Raises:
        InsideError: it was not recorded, or its file is damaged, not a regular file, or of a later version.
    """
    path = inside_file(run, epoch)
    try:
        _check_folder(run)
        with open_regular(path, links=False) as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise InsideError(_absent_text(run, epoch)) from None
    except OSError as error:
        raise InsideError(f"{path}: {error.strerror}") from None
    if len(content) > LARGEST_FILE:
        raise InsideError(f"{path}: has more than {LARGEST_FILE // 2**20} MiB")
    return _decode(content, path)


def _absent_text(run: RunDirectory, epoch: int) -> str:
    epochs = recorded_epochs(run)
    if not epochs:
        return (
            f"{run.name}: no epoch was recorded; runs record one when it ends, unless their recipe has inside = false"
        )
    nearest = min(epochs, key=lambda one: abs(one - epoch))
    recorded = f"recorded are {len(epochs)} epochs from {epochs[0]} to {epochs[-1]}"
    return f"{run.name}: epoch {epoch} was not recorded; {recorded}, the nearest is {nearest}"


def save_epoch(run: RunDirectory, epoch: InsideEpoch) -> None:
    """Write an epoch's file, whole or not at all, and remove files beyond the folder's limits.

    Raises:
        OSError: the folder can't be written, or the disk is full. What was recorded before is untouched.
    """
    _check_folder(run)
    run.inside_folder.mkdir(mode=0o700, exist_ok=True)
    for abandoned in run.inside_folder.glob(".epoch-*"):  # by a worker that was killed while writing
        abandoned.unlink(missing_ok=True)
    write_atomically(inside_file(run, epoch.epoch), _encode(epoch))
    sizes = _sizes(run)
    for removed in sizes.keys() - thinned(sizes, MOST_FILES, MOST_BYTES):
        inside_file(run, removed).unlink(missing_ok=True)


def remove_after(run: RunDirectory, epoch: int) -> None:
    """Remove the files of epochs after `epoch`, which a resumed run trains again.

    Raises:
        OSError: a file can't be removed.
    """
    for later in recorded_epochs(run):
        if later > epoch:
            inside_file(run, later).unlink(missing_ok=True)


def thinned(sizes: Mapping[int, int], most_files: int, most_bytes: int) -> set[int]:
    """Return the epochs to keep, given the size of each epoch's file; the first and the last are kept.

    While there are too many, the epoch whose neighbours are closest to each other is dropped, so that the rest are
    evenly spaced.
    """
    kept = sorted(sizes)
    total = sum(sizes.values())
    while len(kept) > 2 and (len(kept) > most_files or total > most_bytes):
        at = min(range(1, len(kept) - 1), key=lambda index: kept[index + 1] - kept[index - 1])
        total -= sizes[kept.pop(at)]
    return set(kept)


def _check_folder(run: RunDirectory) -> None:
    """Check that the folder is not a link, which may lead out of the run's directory.

    Raises:
        FileKindError: it is a link.
    """
    if run.inside_folder.is_symlink():
        raise FileKindError(errno.EINVAL, "is a link, not a folder", str(run.inside_folder))


def _sizes(run: RunDirectory) -> dict[int, int]:
    """Return the size in bytes of each epoch's file, without links and other files that are not regular."""
    sizes = {}
    try:
        _check_folder(run)
        for path in run.inside_folder.iterdir():
            if match := FILE_NAME.fullmatch(path.name):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and path == inside_file(run, int(match[1])):
                    sizes[int(match[1])] = status.st_size
    except OSError:
        return sizes
    return sizes


# The format

STATISTICS = ("limit", "mean", "std", "minimum", "maximum", "zero_share", "dead_share")


def _encode(epoch: InsideEpoch) -> bytes:
    from safetensors.numpy import save

    arrays: dict[str, NDArray[Any]] = {}
    about: dict[str, Any] = {
        "version": VERSION,
        "epoch": epoch.epoch,
        "step": epoch.step,
        "figures": {key: float(value) for key, value in epoch.figures.items()},
        "classes": {str(number): name for number, name in epoch.classes.items()},
    }
    for part, histograms in (("weights", epoch.weights), ("activations", epoch.activations)):
        if histograms:
            about[part] = [{"layer": one.layer, **{key: getattr(one, key) for key in STATISTICS}} for one in histograms]
            arrays[part] = np.array([one.counts for one in histograms], np.uint32)
    if grid := epoch.kernels:
        about["kernels"] = {"layer": grid.layer, "towers": grid.towers, "total": grid.total}
        arrays |= _parts("kernels", grid.kernels)
    for key, shown in (("images", epoch.images), ("mistakes", epoch.mistakes)):
        if shown:
            about[key] = [_shown_record(one) for one in shown]
            arrays[key] = np.stack([_pixels(one.picture) for one in shown])
    about["maps"] = []
    for number, maps in enumerate(epoch.maps):
        place = {"layer": maps.layer, "image": maps.image}
        about["maps"].append({**place, "shape": list(maps.shape), "channels": list(maps.channels)})
        arrays |= _parts(f"maps/{number}", maps.maps)
    if confusion := epoch.confusion:
        about["confusion"] = {"classes": list(confusion.classes), "images": list(confusion.images)}
        arrays["confusion"] = confusion.counts.astype(np.uint32)
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return save(contiguous, {"alexplore": json.dumps(finite(about))})


def _parts(name: str, values: Quantised) -> dict[str, NDArray[Any]]:
    return {name: values.codes, f"{name}/low": values.low, f"{name}/high": values.high}


def _shown_record(shown: ShownImage) -> dict[str, Any]:
    record = {
        "index": shown.index,
        "name": shown.name,
        "truth": shown.truth,
        "probabilities": [[number, round(probability, 6)] for number, probability in shown.probabilities],
    }
    return record | {"loss": shown.loss} if isinstance(shown, Mistake) else record


def _pixels(picture: Picture) -> Bytes:
    return np.frombuffer(picture.data, np.uint8).reshape(picture.height, picture.width, picture.channels)


def _decode(content: bytes, path: Path) -> InsideEpoch:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
        length = int.from_bytes(content[:8], "little")
        about = parse_json(parse_json(content[8 : 8 + length])["__metadata__"]["alexplore"])
        if _table(about)["version"] > VERSION:
            raise InsideError(f"{path}: written by a later version of alexplore")
        return _read(about, arrays)
    except (SafetensorError, KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise InsideError(f"{path}: damaged: {error or type(error).__name__}") from None


def _read(about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> InsideEpoch:
    images = tuple(_shown_images(about, arrays, "images"))
    kernels = about.get("kernels")
    return InsideEpoch(
        epoch=_count(about["epoch"]),
        step=_count(about["step"]),
        figures={_text(key): _number(value) for key, value in _table(about["figures"]).items()},
        classes={_count(int(number)): _text(name) for number, name in _table(about["classes"]).items()},
        weights=_histograms(about, arrays, "weights"),
        activations=_histograms(about, arrays, "activations"),
        kernels=kernels
        and KernelGrid(
            _text(kernels["layer"]),
            _quantised(arrays, "kernels", 4),
            _count(kernels["towers"]),
            _count(kernels["total"]),
        ),
        images=images,
        maps=tuple(_maps(one, arrays, f"maps/{number}", images) for number, one in enumerate(about["maps"])),
        confusion=_confusion(about["confusion"], arrays["confusion"]) if "confusion" in about else None,
        mistakes=tuple(
            Mistake(**vars(shown), loss=_number(record["loss"]))
            for shown, record in zip(_shown_images(about, arrays, "mistakes"), about.get("mistakes", []), strict=True)
        ),
    )


def _histograms(about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], part: str) -> tuple[LayerHistogram, ...]:
    if part not in about:
        return ()
    counts = _array(arrays[part], np.uint32, 2)
    if counts.shape[1] != BINS:
        raise ValueError(f"{part}: {counts.shape[1]} bins")
    return tuple(_histogram(record, row.tolist()) for record, row in zip(about[part], counts, strict=True))


def _histogram(record: Mapping[str, Any], counts: Sequence[int]) -> LayerHistogram:
    dead_share = record["dead_share"]
    limit = _number(record["limit"])
    if not 0 < limit < inf:
        raise ValueError(f"a histogram up to {limit}")
    return LayerHistogram(
        layer=_text(record["layer"]),
        counts=tuple(counts),
        limit=limit,
        mean=_number(record["mean"]),
        std=_number(record["std"]),
        minimum=_number(record["minimum"]),
        maximum=_number(record["maximum"]),
        zero_share=_number(record["zero_share"]),
        dead_share=None if dead_share is None else _number(dead_share),
    )


def _quantised(arrays: Mapping[str, NDArray[Any]], name: str, axes: int) -> Quantised:
    codes = _array(arrays[name], np.uint8, axes)
    low, high = (_array(arrays[f"{name}/{end}"], np.float32, 1) for end in ("low", "high"))
    if not len(codes) == len(low) == len(high) or not codes.size:
        raise ValueError(f"{name}: {len(codes)} items with {len(low)} and {len(high)} limits")
    return Quantised(codes, low, high)


def _maps(
    record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], name: str, images: Sequence[ShownImage]
) -> FeatureMaps:
    channels, height, width = map(_count, record["shape"])
    image = _count(record["image"])
    if image >= len(images):
        raise ValueError(f"{name}: no image {image}")
    chosen, maps = tuple(map(_count, record["channels"])), _quantised(arrays, name, 3)
    if len(chosen) != len(maps):
        raise ValueError(f"{name}: {len(maps)} maps of {len(chosen)} channels")
    return FeatureMaps(_text(record["layer"]), image, (channels, height, width), chosen, maps)


def _shown_images(about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], key: str) -> list[ShownImage]:
    records = about.get(key, [])
    if not records:
        return []
    return [
        ShownImage(
            picture=_picture(pixels),
            index=_count(record["index"]),
            truth=_count(record["truth"]),
            probabilities=tuple((_count(number), _number(share)) for number, share in record["probabilities"]),
            name=None if record["name"] is None else _text(record["name"]),
        )
        for record, pixels in zip(records, _array(arrays[key], np.uint8, 4), strict=True)
        if record["probabilities"] or _refuse(f"{key}: an image without probabilities")
    ]


def _picture(pixels: Bytes) -> Picture:
    height, width, channels = pixels.shape
    return Picture(height, width, channels, pixels.tobytes())


def _confusion(record: Mapping[str, Any], counts: NDArray[Any]) -> Confusion:
    classes, images = (tuple(map(_count, record[key])) for key in ("classes", "images"))
    counts = _array(counts, np.uint32, 2)
    if counts.shape != (len(classes),) * 2 or len(images) != len(classes):
        raise ValueError(f"confusion: {counts.shape} for {len(classes)} classes")
    return Confusion(classes, counts, images)


def _array(array: NDArray[Any], kind: Any, axes: int) -> NDArray[Any]:
    if array.dtype != kind or array.ndim != axes:
        raise ValueError(f"an array of {array.ndim} axes in {array.dtype}")
    return array


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**63 else _refuse(f"{value!s:.40} is no count")


def _number(value: Any) -> float:
    number = read_number(value)
    return number if number is not None else _refuse(f"{value!s:.40} is no number")


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else _refuse(f"{value!s:.40} is no table")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _refuse(f"{value!s:.40} is no text")


def _refuse(reason: str) -> Any:
    raise ValueError(reason)
