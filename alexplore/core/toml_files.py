"""Read TOML files that people write: one message for each way in which they can be wrong."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from alexplore.core.errors import UseOrFailureError
from alexplore.core.regular_files import LARGEST_TEXT, FileKindError, read_text, regular_size


def is_path(name_or_path: str) -> bool:
    """Return whether a text that a person gave is the path of a file, rather than a name."""
    return name_or_path.endswith(".toml") or os.sep in name_or_path


def toml_content(path: Path, error: type[UseOrFailureError], largest: int = LARGEST_TEXT) -> str:
    """Return the text of a TOML file.

    Raises:
        UseOrFailureError: of the type `error`; the file can't be read, is no text, or has more than `largest` bytes.
    """
    try:
        if regular_size(path) > largest:
            raise error(f"{path}: larger than {largest:,} bytes, which no such file is")
        return read_text(path, encoding="utf-8-sig")
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except FileKindError as found:
        raise error(f"{path}: {found.strerror}") from None
    except OSError as found:
        raise error(f"{path}: {found.strerror}", failure=True) from None
    except UnicodeDecodeError as found:
        raise error(f"{path}: not UTF-8 text (byte {found.start})") from None
    except ValueError:  # a null byte in the name
        raise error(f"{path}: no such file") from None


def parse_toml(content: str, path: Path, error: type[UseOrFailureError]) -> dict[str, Any]:
    """Return the values of a file's text; `path` names it in messages.

    Raises:
        UseOrFailureError: of the type `error`; the text is not TOML. The message has the line.
    """
    try:
        return tomllib.loads(content)
    except ValueError as found:  # tomllib's own error, with the line, or an integer of thousands of digits
        raise error(f"{path}: not valid TOML: {found}") from None
    except RecursionError:
        raise error(f"{path}: not valid TOML: nested too deep") from None
