"""Checks of files against the checksums that are published with them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from alexplore.core.regular_files import open_regular
from alexplore.runs.image_layout import DataError


def check_md5(path: Path, digest: str) -> None:
    """Check a file against its MD5.

    Raises:
        DataError: it is missing or damaged, or can't be read.
    """
    try:
        with open_regular(path) as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", failure=True) from None
    if found != digest:
        raise DataError(f"{path} is damaged: its checksum is wrong", failure=True)
