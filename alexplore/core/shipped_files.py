"""What comes with alexplore as files: presets, lessons, the glossary."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def shipped_path(installed: str, checkout: str) -> Path:
    """Return the path of a file or folder: `installed` in the package, or `checkout` next to it in a checkout."""
    inside = PACKAGE / installed
    return inside if inside.exists() else PACKAGE.parent / checkout
