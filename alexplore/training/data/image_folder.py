"""Image folders with a folder for each class."""

from __future__ import annotations

from dataclasses import replace

import torch

from alexplore.core.home import expand
from alexplore.runs.config import RunConfig
from alexplore.runs.data.dataset_shapes import dataset_shape, image_channels
from alexplore.runs.data.errors import DataError
from alexplore.runs.data.image_layout import (
    Layout,
    LeftOut,
    class_folders,
    find_layout,
    find_pictures,
    find_test_images,
)
from alexplore.runs.data.trained_on import TrainedOn, check_classes, check_known
from alexplore.training.data.dataset import Dataset, Report, check_fit, mean_and_std
from alexplore.training.data.decoders import PILLOW, choose_decoder
from alexplore.training.data.folder_listing import Listing, draw_held_out, list_images
from alexplore.training.data.folder_split import FolderSplit
from alexplore.training.data.packed import PackedSplit
from alexplore.training.data.preprocess import IMAGENET_MEAN, IMAGENET_STD, resized_size


def open_image_folder(
    config: RunConfig, device: torch.device, report: Report, trained_on: TrainedOn | None = None
) -> Dataset:
    """Return the images of the folder that a run names, grey if its network reads one channel, else in colour.

    The mean and the standard deviation are ImageNet's unless the recipe asks for the data set's own. If the run was
    trained before, its classes keep their order, and the images that it held out stay held out.

    Raises:
        DataError: no folder is named, it is laid out wrongly or does not fit the network, a class has no images, it has
            not the classes that the run was trained on, or the recipe's `resize` is too small.
    """
    shape = dataset_shape(config)
    layout = find_layout(expand(config.data.folder or ""))
    if trained_on is not None:
        check_classes(trained_on, layout.classes, layout.folder)
        layout = replace(layout, classes=trained_on.classes)
    check_fit(config.network, shape)
    size = resized_size(config.recipe, config.network.input)
    left_out = LeftOut(layout.folder)
    listings = _list_parts(config, layout, trained_on, left_out)
    decoder, warning = choose_decoder(trained_on.decoder if trained_on else None)
    if (packed := listings[0].packed) is not None:
        decoder, size = packed.decoder, (packed.side, packed.side)
    train, val = (
        open_split(listing.limited(limit), shape.channels, size, device, report, decoder=decoder, keep=True)
        for listing, limit in zip(listings, (config.data.limit_train, config.data.limit_val), strict=True)
    )
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    if config.recipe.normalize == "dataset" and trained_on is not None and len(trained_on.mean) == shape.channels:
        mean, std = trained_on.mean, trained_on.std  # what the weights were trained with, also if images were added
    elif config.recipe.normalize == "dataset":
        report("measuring the colours of the training images")
        mean, std = mean_and_std(train)
    elif shape.channels == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    return Dataset(
        "imagefolder",
        layout.classes,
        shape.channels,
        mean,
        std,
        train,
        val,
        size=size,
        held_out=listings[1].paths if layout.val is None else (),
        decoder=decoder,
        notes=(
            *listings[0].notes(layout.folder, left_out),
            *([warning] if warning else []),
        ),
    )


def _list_parts(
    config: RunConfig, layout: Layout, trained_on: TrainedOn | None, left_out: LeftOut
) -> tuple[Listing, Listing]:
    """Return the training and the validation images, without limits."""
    train = list_images(layout.train, layout.classes, left_out)
    if layout.val is not None:
        return train, list_images(layout.val, layout.classes, left_out)
    if trained_on is None or not trained_on.held_out:
        held_out = draw_held_out(train, config.data.val_share, config.recipe.seed)
    else:
        held_out = set(trained_on.held_out)
    parts = train.partition(held_out)
    for part, what in zip(parts, ("to train on", "to validate on"), strict=True):
        if not part.paths:
            known = f": none of the {len(held_out):,} that the run held out is there" if trained_on else ""
            raise DataError(
                f"{layout.train} has no image {what}{known}; {len(train.paths):,} in all. Add images, or name another "
                "folder with --data DIR"
            )
    return parts


def open_test_images(
    config: RunConfig,
    classes: tuple[str, ...],
    trained_on: TrainedOn | None,
    device: torch.device,
    report: Report,
    *,
    decoder: str = PILLOW,
    by_position: bool = False,
    elsewhere: bool = False,
) -> FolderSplit | PackedSplit:
    """Return the images to evaluate on: those in the folder's validation part, or all in a folder of test images alone.

    Of a folder from which the run held out images, only those are taken; a folder `elsewhere` is a copy of it if it has
    most of them. `classes` are the network's, by whose names the folders are labelled; with `by_position` also by their
    order, if there are as many.

    Raises:
        DataError: no folder is named, it can't be read, holds no images, or has classes that the network does not know.
    """
    if config.data.folder is None:
        dataset_shape(config)  # says what has to be named
    folder, found = find_test_images(expand(config.data.folder or ""))
    if by_position and not set(found) <= set(classes) and len(found) == len(classes):
        classes = found
    check_known(classes, found, folder)
    if missing := len(classes) - len(found):
        report(f"{folder} has images of {len(found):,} classes; {missing:,} others that the network knows have none")
    left_out = LeftOut(folder)
    listing = list_images(folder, classes, left_out, all_needed=False)
    if not listing.paths:
        raise DataError(f"{folder} has no images to evaluate on")
    if trained_on is not None and trained_on.held_out:
        _, held_out = listing.partition(set(trained_on.held_out))
        if not elsewhere or 2 * len(held_out.paths) > len(trained_on.held_out):
            listing = held_out
            report(f"evaluating on the {len(listing.paths):,} images that were held out of the training")
    for note in listing.notes(folder, left_out):
        report(note)
    channels = image_channels(config.network)
    size = resized_size(config.recipe, config.network.input)
    return open_split(listing.limited(config.data.limit_val), channels, size, device, report, decoder=decoder)


def open_unlabelled_images(
    config: RunConfig, device: torch.device, report: Report, decoder: str = PILLOW
) -> FolderSplit | None:
    """Return all images in a folder that has no folders of classes; None if it has some.

    Their labels, 0, mean nothing.

    Raises:
        DataError: the folder can't be read, or holds no images.
    """
    folder = expand(config.data.folder or "")
    if class_folders(folder):
        return None
    left_out = LeftOut(folder)
    paths = tuple(find_pictures(folder, left_out))
    if not paths:
        raise DataError(f"{folder} has no images to evaluate on")
    listing = Listing(folder, paths, torch.zeros(len(paths), dtype=torch.int64))
    for note in listing.notes(folder, left_out):
        report(note)
    channels = image_channels(config.network)
    size = resized_size(config.recipe, config.network.input)
    return FolderSplit(listing, channels, size, device, report, decoder=decoder)


def open_split(
    listing: Listing,
    channels: int,
    size: tuple[int, int],
    device: torch.device,
    report: Report,
    *,
    decoder: str = PILLOW,
    keep: bool = False,
) -> FolderSplit | PackedSplit:
    """Return the split of a listing: of packed images in their own size, or of image files decoded to `size`."""
    if listing.packed is not None and listing.rows is not None:
        return PackedSplit(listing.packed, listing.paths, listing.labels, listing.rows, channels, device)
    return FolderSplit(listing, channels, size, device, report, decoder=decoder, keep=keep)
