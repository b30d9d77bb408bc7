"""A preset in other forms: PyTorch and Keras code, JSON, an HTML page, a Mermaid diagram.

To add a form: a module with `export`, and an entry in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from alexplore.core.settings import SettingError, found_text, nearest
from alexplore.export.errors import ExportError
from alexplore.network.analysis import analyse
from alexplore.network.layers.base import Unsupported
from alexplore.presets.preset import Preset


@dataclass(frozen=True)
class Format:
    """A form that a preset can be written in.

    `module` has a function `export(preset, analysis)` that returns the text of a file. `ending` is what such a file's
    name ends in; no two are alike, so that all forms of a preset fit into one folder. `title` is for a list.
    `takes_broken`: a network with a layer that can't read its input can be written too.
    `library` is what the code is for, in which a layer may have no equivalent.
    """

    title: str
    module: str
    ending: str
    takes_broken: bool = False
    library: str = ""


FORMATS: Mapping[str, Format] = {
    "pytorch": Format("PyTorch code", "alexplore.export.pytorch", ".py", library="PyTorch"),
    "keras": Format("Keras 3 code", "alexplore.export.keras", "_keras.py", library="Keras"),
    "json": Format("the preset and all numbers as JSON", "alexplore.export.json", ".json", takes_broken=True),
    "html": Format("a page with picture, table and arithmetic", "alexplore.export.html", ".html", takes_broken=True),
    "mermaid": Format("a Mermaid diagram", "alexplore.export.mermaid", ".mmd", takes_broken=True),
}

FORMAT_NAMES = (*FORMATS, "onnx")
"""The names that `alexplore export --to` takes: those above, and that of ONNX, which a process with PyTorch writes."""


def check_format(to: str) -> None:
    """Check that there is a format of a name in `FORMAT_NAMES`.

    Raises:
        SettingError: there is none.
    """
    if to not in FORMAT_NAMES:
        allowed = ", ".join(FORMAT_NAMES)
        raise SettingError(f"unknown format {found_text(to)}{nearest(to, FORMAT_NAMES)} Allowed: {allowed}")


def export_preset(preset: Preset, to: str) -> str:
    """Return the text of a file in one of `FORMATS`, ending in a newline.

    Raises:
        ExportError: the network is broken, or the format has no equivalent of a layer.
    """
    analysis = analyse(preset.network)
    if analysis.broken and not FORMATS[to].takes_broken:
        raise ExportError(f"{preset.name} can't be exported: {analysis.broken.error}")
    if not analysis.rows:
        raise ExportError(f"{preset.name} can't be exported: it has no layers")
    module = import_module(FORMATS[to].module)  # one at a time: the others are not needed
    try:
        text: str = module.export(preset, analysis)
    except Unsupported as error:
        raise ExportError(f"{preset.name} can't be exported to {FORMATS[to].library}: {error}") from None
    return text
