"""The data sets that everybody's are the same: where they are looked for, and where they are brought from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alexplore.runs.config import DataSource
from alexplore.training.data import cifar10, download, fashion_mnist, store
from alexplore.training.data.dataset import DataError
from alexplore.training.data.store import Arrays

Report = Callable[[str], None]


@dataclass(frozen=True)
class Known:
    """What can be said of a data set without its files, and how they are come by.

    `find` looks for files in a folder, `unpack` checks them and lays them out, and `read` reads them.
    `fetchers` bring files into a folder, by their names in messages; `places` may have them already.
    """

    name: str
    classes: tuple[str, ...]
    channels: int
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    find: Callable[[Path], dict[str, Path]]
    unpack: Callable[[dict[str, Path], Path], None]
    read: Callable[[Path], Arrays]
    fetchers: tuple[tuple[str, Callable[[Path, Report], Path]], ...]
    places: tuple[str, ...] = ()


DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"

FASHION_MNIST = Known(
    name="fashion-mnist",
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    channels=1,
    size=(28, 28),
    mean=(0.2860,),
    std=(0.3530,),
    find=fashion_mnist.find,
    unpack=fashion_mnist.unpack,
    read=fashion_mnist.read,
    fetchers=(
        (
            "torchvision's download",
            lambda folder, report: download.fetch_with_torchvision("FashionMNIST", folder, report),
        ),
        (
            "Debian's package dataset-fashion-mnist",
            lambda folder, report: download.fetch_from_debian("dataset-fashion-mnist", DEBIAN_FOLDER, folder, report),
        ),
    ),
    places=(DEBIAN_FOLDER,),
)

CIFAR10 = Known(
    name="cifar10",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    channels=3,
    size=(32, 32),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    find=cifar10.find,
    unpack=cifar10.unpack,
    read=cifar10.read,
    fetchers=(
        ("torchvision's download", lambda folder, report: download.fetch_with_torchvision("CIFAR10", folder, report)),
    ),
)

KNOWN = {known.name: known for known in (FASHION_MNIST, CIFAR10)}


def load_known(known: Known, source: DataSource, report: Report) -> Arrays:
    """The images and labels, from the first that has them: the folder asked for, the user's cache, the places where
    they may be installed, and, where that is allowed, from elsewhere.

    Raises:
        DataError: the folder asked for holds damaged files or is none, or there is no way to the data; the message
            names all that was tried.
    """
    tried: list[str] = []
    if source.folder is not None:
        arrays = _from_folder(known, Path(source.folder).expanduser(), report, tried)
        if arrays:
            return arrays
    cache = store.cache_folder(known.name)
    if arrays := store.load(known.name, report):
        return arrays
    with store.locked(known.name, report) as writable:
        if arrays := store.load(known.name, _silent):  # another process has made it while we waited
            return arrays
        for place in (cache, *map(Path, known.places)):
            if arrays := _attempt(known, place, writable, report, tried):
                return arrays
        for name, bring in known.fetchers if source.download else ():
            with store.work_folder(writable) as work:
                try:
                    brought = bring(work / "brought", report)
                except (download.FetchError, OSError) as error:
                    report(f"{name} did not work: {error}")
                    tried.append(f"{name}: {error}")
                    continue
                if arrays := _attempt(known, brought, writable, report, tried):
                    return arrays
    if not source.download:
        tried.append("downloads: switched off")
    raise DataError(_not_found(known, tried))


def _from_folder(known: Known, folder: Path, report: Report, tried: list[str]) -> Arrays | None:
    """From the folder that was asked for: what is wrong there is an error, not a reason to look elsewhere."""
    if not folder.is_dir():
        raise DataError(f"{folder}, where the data set is to be looked for, is not a folder")
    files = known.find(folder)
    if not files:
        report(f"{folder} holds no {known.name}; looking elsewhere")
        tried.append(f"{folder}: not there")
        return None
    with store.locked(known.name, report) as writable:
        return _read(known, files, writable, report)


def _attempt(known: Known, place: Path, writable: Path | None, report: Report, tried: list[str]) -> Arrays | None:
    try:
        files = known.find(place)
        if files:
            return _read(known, files, writable, report)
        tried.append(f"{place}: not there")
    except DataError as error:
        report(str(error))
        tried.append(str(error))
    return None


def _read(known: Known, files: dict[str, Path], writable: Path | None, report: Report) -> Arrays:
    """Check files, then read them, or what was kept of them when they were last read."""
    with store.work_folder(writable) as work:
        known.unpack(files, work)
        if arrays := store.load(known.name, report):
            return arrays
        report(f"reading {known.name}, which takes some seconds" + (" the first time" if writable else ""))
        arrays = known.read(work)
    if writable:
        try:
            store.save(known.name, arrays)
        except OSError as error:
            report(f"{known.name} could not be kept in {writable} for the next time: {error.strerror}")
    return arrays


def _not_found(known: Known, tried: list[str]) -> str:
    lines = "\n".join(f"  - {one}" for one in tried)
    return (
        f"{known.name} was not found and could not be brought here. Tried:\n{lines}\n"
        f"Bring its files to this machine and name their folder with --data DIR, or train on --dataset synthetic"
    )


def _silent(_: str) -> None:
    pass
