"""A preset in other forms: PyTorch and Keras code, JSON, a Mermaid diagram."""

from __future__ import annotations

from importlib import import_module

from alexplore.core.settings import SettingError, found_text, nearest
from alexplore.network.analysis import analyse
from alexplore.presets.preset import Preset

FORMATS = ("pytorch", "keras", "json", "mermaid")
SUFFIXES = {"pytorch": ".py", "keras": "_keras.py", "json": ".json", "mermaid": ".mmd"}  # each another file's name


class ExportError(SettingError):
    """A network that can't be written in a format; the message says why."""


def export_preset(preset: Preset, to: str) -> str:
    """The text of a file, ending in a newline.

    Raises:
        SettingError: there is no such format.
        ExportError: the network is broken, or the format has no words for it.
    """
    if to not in FORMATS:
        raise SettingError(f"unknown format {found_text(to)}{nearest(to, FORMATS)} Allowed: {', '.join(FORMATS)}")
    analysis = analyse(preset.network)
    if analysis.broken and to not in ("json", "mermaid"):
        raise ExportError(f"{preset.name} can't be exported: {analysis.broken.error}")
    if not analysis.rows:
        raise ExportError(f"{preset.name} can't be exported: it has no layers")
    module = import_module(f"alexplore.export.{to}")  # one at a time: the others are not needed
    text: str = module.export(preset, analysis)
    return text
