"""Measure the input path: uint8 images to a resized float batch, beside a DataLoader that resizes single images.

Fashion-MNIST's size (28×28) to AlexNet's (224×224), in grey and in colour, batch 128. The two take turns in one run
(see `turns`). Images are random pixels: no file is needed.

    python benchmarks/input.py [TURNS]
"""

from __future__ import annotations

import os
import sys

import torch
from PIL import Image
from results import report
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms  # type: ignore[import-untyped]
from turns import figure, take_turns

from alexplore.presets.recipe import Recipe
from alexplore.training.data.dataset import Dataset, ResidentSplit
from alexplore.training.data.preprocess import Preprocess
from alexplore.training.hardware import prepare

SIDE, TO, BATCH = 28, 224, 128
COUNT = 8 * BATCH
GOAL = 5.0


class OneAtATime(TorchDataset[tuple[Tensor, int]]):
    """The data set of the tutorials: each image goes through Pillow, `Resize` and `ToTensor`."""

    def __init__(self, images: Tensor) -> None:
        """`images` are uint8 (N, C, H, W)."""
        self.pixels = images.permute(0, 2, 3, 1).numpy()
        self.transform = transforms.Compose([transforms.Resize((TO, TO)), transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = self.pixels[index]
        return self.transform(Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])), 0


def main(turns: int) -> None:
    """Measure and print the results."""
    cpu = torch.device("cpu")
    prepare(cpu)  # keeps freed memory, as in the worker, which makes the DataLoader faster too
    print(f"{os.cpu_count()} processors, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for channels in (1, 3):
        images = torch.randint(0, 256, (COUNT, channels, SIDE, SIDE), dtype=torch.uint8)
        resident = ResidentSplit(images, torch.zeros(COUNT, dtype=torch.int64), cpu)
        dataset = Dataset("made", ("one",), channels, (0.0,) * channels, (1.0,) * channels, resident, resident)
        preprocess = Preprocess(Recipe(), (channels, TO, TO), dataset, cpu)
        loader_data = OneAtATime(images)

        def ours(preprocess: Preprocess = preprocess, resident: ResidentSplit = resident) -> None:
            for batch, _ in resident.batches(torch.randperm(COUNT), BATCH):
                preprocess.train(batch, 0)

        for workers in (0, 2):
            loader = DataLoader(loader_data, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)

            def theirs(loader: DataLoader[tuple[Tensor, int]] = loader) -> None:
                for _ in loader:
                    pass

            taken = take_turns({"ours": ours, "DataLoader": theirs}, "fp32", turns)
            name = f"{channels}×{SIDE}×{SIDE} to {TO}×{TO}"
            report(
                f"{name}, ours", figure([COUNT / turn.seconds["ours"] for turn in taken.counted]), "images/s", ",.0f"
            )
            report(
                f"{name}, over a DataLoader with {workers} workers",
                taken.ratio("DataLoader", "ours"),
                goal=f"{GOAL:.0f}" if workers == 0 else "",
                turns=taken,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
