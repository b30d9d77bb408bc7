"""How image files become pixels. A run records its decoder, so that a resumed run sees the same pixels."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor

from alexplore.training.data.images import as_tensor, check_pixels, decode, read_image

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

PILLOW, TORCHCODEC = "pillow", "torchcodec"

ORIENTATION, UPRIGHT = 0x0112, 1
"""The tag of EXIF that says how to rotate an image, and its value for an image that is upright."""

INSTALL = "pip install 'torchcodec>=0.16'"

STDERR = 2

Decoder = Callable[["Image.Image", int, tuple[int, int]], Tensor]
"""Returns the pixels of an opened image for a number of channels and a size; see `read_image`."""


def read_with_torchcodec(image: Image.Image, channels: int, size: tuple[int, int]) -> Tensor:
    """Return the same as `read_image`, faster: torchcodec decodes usual JPEGs, and PyTorch resizes.

    Pillow opens every image and decodes those that torchcodec does not, so that both decoders read the same files.
    Pixels differ by a few levels, because PyTorch crops at whole pixels.

    Raises:
        OSError: see `read_image`.
    """
    pixels = _decode_jpeg(image, channels) if _is_usual_jpeg(image, size) else None
    return _resize_centre(as_tensor(decode(image, channels, size)) if pixels is None else pixels, size)


DECODERS: Mapping[str, Decoder] = {TORCHCODEC: read_with_torchcodec, PILLOW: read_image}


def choose_decoder(recorded: str | None = None) -> tuple[str, str | None]:
    """Return the decoder of a run that has recorded one, or of a new run; and a warning if it is not the recorded one.

    A new run uses torchcodec, or Pillow if torchcodec can't be imported.
    """
    chosen = recorded or TORCHCODEC
    if chosen == PILLOW:
        return PILLOW, None
    problem = _torchcodec_problem() if chosen == TORCHCODEC else f"allowed: {', '.join(DECODERS)}"
    if problem is None:
        return TORCHCODEC, None
    warning = (
        f"the run's images were decoded with {chosen}, which can't be used here ({problem}); now they are decoded with "
        f"{PILLOW}, which gives slightly different pixels. {INSTALL} gives the same again"
    )
    return PILLOW, warning if recorded else None


def _torchcodec_problem() -> str | None:
    """Return why torchcodec can't decode images here; None if it can."""
    try:
        decoders = importlib.import_module("torchcodec.decoders")
    except (ImportError, OSError, RuntimeError) as error:  # it raises RuntimeError if its libraries can't be loaded
        return str(error).partition("\n")[0]
    return None if hasattr(decoders, "decode_jpeg") else "older than 0.16"


def _is_usual_jpeg(image: Image.Image, size: tuple[int, int]) -> TypeGuard[ImageFile]:
    """Return whether torchcodec decodes an image: upright, grey or in colour, and under twice `size`.

    Pillow decodes larger ones at a fraction of their size, which takes less time.
    """
    return (
        image.format == "JPEG"
        and image.mode in ("RGB", "L")
        and min(image.size) < 2 * max(size)
        and image.getexif().get(ORIENTATION, UPRIGHT) == UPRIGHT
    )


def _decode_jpeg(image: ImageFile, channels: int) -> Tensor | None:
    """Return the pixels of a JPEG, uint8 (C, H, W); None if torchcodec can't decode it.

    Raises:
        OSError: it has more than `MOST_PIXELS`.
    """
    from torchcodec.decoders import decode_jpeg

    check_pixels(image.size)
    file = image.fp
    assert file is not None
    file.seek(0)
    content = file.read()
    try:
        with _silenced():
            pixels: Tensor = decode_jpeg(content, mode="RGB" if channels == 3 else "GRAY")
    except RuntimeError:
        return None
    return pixels


@contextmanager
def _silenced() -> Iterator[None]:
    """Discard what is written to stderr: libjpeg's warnings about damaged images, which name no file."""
    stderr = os.dup(STDERR)
    try:
        os.dup2(_null(), STDERR)
        yield
    finally:
        os.dup2(stderr, STDERR)
        os.close(stderr)


@cache
def _null() -> int:
    return os.open(os.devnull, os.O_WRONLY)


def _resize_centre(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the largest centre of an image, uint8 (C, H, W), that has the proportions of `size`, in that size."""
    scale = min(side / target for side, target in zip(pixels.shape[1:], size, strict=True))
    height, width = (max(1, round(scale * target)) for target in size)
    top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
    centre = pixels[None, :, top : top + height, left : left + width]
    with _one_thread():
        centre = centre.contiguous(memory_format=torch.channels_last)
        return F.interpolate(centre, size, mode="bilinear", antialias=True)[0]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread: an image is so small that several wait for each other longer than they compute."""
    threads = torch.get_num_threads()
    if threads == 1:  # as in the processes that decode
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
