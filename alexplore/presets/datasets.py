"""The data sets that a recipe can name: what is known about each without reading it. No torch, no files.

To add one: an entry in `DATASETS`, and how it is opened in `PUBLISHED` or `OPENERS` of
`alexplore.training.data.catalog`.
"""

from __future__ import annotations

from typing import NamedTuple


class PublishedImages(NamedTuple):
    """The images of a data set that is the same for everyone."""

    classes: tuple[str, ...]
    """Names of the classes, in the order of their labels."""

    channels: int
    """1 for grey, 3 for red, green and blue."""

    size: tuple[int, int]
    """Height and width of an image in pixels."""

    train: int
    """Number of training images."""

    val: int
    """Number of validation images."""

    mean: tuple[float, ...]
    """Mean of the training pixels by channel, where black is 0 and white is 1."""

    std: tuple[float, ...]
    """Standard deviation of the training pixels by channel."""

    light_on_dark: bool = False
    """Whether every image is a light object on black."""


class DatasetEntry(NamedTuple):
    """A value of the recipe's key `dataset`."""

    name: str
    title: str

    origin: str
    """Where its images come from, in words."""

    images: PublishedImages | None = None
    """None if the images depend on the run: a folder's, or drawn to fit the network."""

    needs_folder: bool = False
    """Whether a run has to name the folder of the images."""

    sources: tuple[str, ...] = ()
    """The settings of a run's data that it uses, besides the limits."""

    download_bytes: int = 0
    """Size of what is downloaded, 0 if it can't be."""

    installed_in: tuple[str, ...] = ()
    """Folders that a package of the operating system may have put the files into."""


DATASETS = {
    entry.name: entry
    for entry in (
        DatasetEntry(
            "fashion-mnist",
            "Fashion-MNIST",
            "downloaded by torchvision, or from Debian's package dataset-fashion-mnist",
            PublishedImages(
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
                train=60_000,
                val=10_000,
                mean=(0.2860,),
                std=(0.3530,),
                light_on_dark=True,
            ),
            sources=("folder", "download"),
            download_bytes=30_878_645,  # the four files of torchvision's mirrors
            installed_in=("/usr/share/datasets/fashion-mnist",),
        ),
        DatasetEntry(
            "cifar10",
            "CIFAR-10",
            "downloaded by torchvision",
            PublishedImages(
                classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
                channels=3,
                size=(32, 32),
                train=50_000,
                val=10_000,
                mean=(0.4914, 0.4822, 0.4465),
                std=(0.2470, 0.2435, 0.2616),
            ),
            sources=("folder", "download"),
            download_bytes=170_498_071,  # cifar-10-python.tar.gz
        ),
        DatasetEntry(
            "imagefolder",
            "an image folder",
            "a folder with train/CLASS/*.jpg and val/CLASS/*.jpg, as ImageNet is laid out, or with CLASS/*.jpg alone",
            needs_folder=True,
            sources=("folder", "val_share"),
        ),
        DatasetEntry("synthetic", "synthetic images", "drawn by the program to fit the network: no real images"),
    )
}
"""Every data set by its name in a recipe."""
