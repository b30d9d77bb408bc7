"""Data sets: found or brought, checked against the network, kept on the device, and made into batches there."""

from alexplore.training.data.dataset import (
    DataError,
    Dataset,
    Resident,
    Split,
    balanced,
    left_out,
    pixel_statistics,
    read_dataset,
)
from alexplore.training.data.folder import FolderSplit
from alexplore.training.data.images import read_image
from alexplore.training.data.load import open_dataset
from alexplore.training.data.preprocess import Preprocess, stage_size

__all__ = [
    "DataError",
    "Dataset",
    "FolderSplit",
    "Preprocess",
    "Resident",
    "Split",
    "balanced",
    "left_out",
    "open_dataset",
    "pixel_statistics",
    "read_dataset",
    "read_image",
    "stage_size",
]
