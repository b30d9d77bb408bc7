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


DIGITS = tuple("0123456789")
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")

BALANCED = (*DIGITS, *(letter.upper() for letter in LETTERS), *"abdefghnqrt")
"""Classes of EMNIST balanced: small letters that look like their capitals are among these (Cohen et al. 2017)."""

CIFAR_100 = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish",
    "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
    "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange",
    "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine",
    "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk",
    "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
    "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale",
    "willow_tree", "wolf", "woman", "worm",
)  # fmt: skip
"""The fine classes of CIFAR-100."""


def _written(
    name: str,
    title: str,
    classes: tuple[str, ...],
    counts: tuple[int, int],
    statistics: tuple[float, float],
    download_bytes: int,
) -> DatasetEntry:
    """Return the entry of a data set in MNIST's format: light strokes on black, 28×28."""
    (train, val), (mean, std) = counts, statistics
    images = PublishedImages(classes, 1, (28, 28), train, val, (mean,), (std,), light_on_dark=True)
    return DatasetEntry(name, title, images, sources=("folder", "download"), download_bytes=download_bytes)


EMNIST_BYTES = 561_753_746  # gzip.zip, which has all parts

DATASETS = {
    entry.name: entry
    for entry in (
        DatasetEntry(
            "fashion-mnist",
            "Fashion-MNIST",
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
        _written("mnist", "MNIST", DIGITS, (60_000, 10_000), (0.1307, 0.3081), 11_594_722),
        _written(
            "kmnist",
            "KMNIST",
            ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
            (60_000, 10_000),
            (0.1918, 0.3483),
            21_240_888,
        ),
        _written("emnist-balanced", "EMNIST balanced", BALANCED, (112_800, 18_800), (0.1751, 0.3332), EMNIST_BYTES),
        _written("emnist-digits", "EMNIST digits", DIGITS, (240_000, 40_000), (0.1733, 0.3317), EMNIST_BYTES),
        _written("emnist-letters", "EMNIST letters", LETTERS, (124_800, 20_800), (0.1722, 0.3309), EMNIST_BYTES),
        DatasetEntry(
            "cifar10",
            "CIFAR-10",
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
            "cifar100",
            "CIFAR-100",
            PublishedImages(
                classes=CIFAR_100,
                channels=3,
                size=(32, 32),
                train=50_000,
                val=10_000,
                mean=(0.5071, 0.4865, 0.4409),
                std=(0.2673, 0.2564, 0.2762),
            ),
            sources=("folder", "download"),
            download_bytes=169_001_437,  # cifar-100-python.tar.gz
        ),
        DatasetEntry(
            "svhn",
            "SVHN, cropped digits",
            PublishedImages(
                classes=DIGITS,
                channels=3,
                size=(32, 32),
                train=73_257,
                val=26_032,
                mean=(0.4377, 0.4438, 0.4728),
                std=(0.1980, 0.2010, 0.1970),
            ),
            sources=("folder", "download"),
            download_bytes=246_316_178,  # train_32x32.mat and test_32x32.mat
        ),
        DatasetEntry(
            "imagefolder",
            "an image folder",
            needs_folder=True,
            sources=("folder", "val_share"),
        ),
        DatasetEntry("synthetic", "synthetic images"),
    )
}
"""Every data set by its name in a recipe."""
