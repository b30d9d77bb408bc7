"""Data sets: found or downloaded, checked against the network, kept on the device, and made into batches there."""

from alexplore.runs.data.image_layout import DataError
from alexplore.training.data.catalog import open_dataset
from alexplore.training.data.dataset import (
    Dataset,
    ResidentSplit,
    Split,
    choose_balanced,
    damaged_text,
    pixel_statistics,
    read_dataset,
)
from alexplore.training.data.folder_split import FolderSplit
from alexplore.training.data.images import read_image
from alexplore.training.data.preprocess import Preprocess, resized_size

__all__ = [
    "DataError",
    "Dataset",
    "FolderSplit",
    "Preprocess",
    "ResidentSplit",
    "Split",
    "choose_balanced",
    "damaged_text",
    "open_dataset",
    "pixel_statistics",
    "read_dataset",
    "read_image",
    "resized_size",
]
