"""alexplore: explore, edit and train convolutional networks in a terminal, or from Python.

    >>> from alexplore import analyse, load_preset
    >>> analyse(load_preset("paper").network).totals.params
    60965224

`load_preset(name_or_path)` returns a `Preset`, `analyse(network)` an `Analysis` with the numbers of each layer, and
`build(network)` the `torch.nn.Module` that trains. Each raises `AlexploreError` with a message for people.

A name is imported when it is first used (PEP 562): `import alexplore` loads nothing else, only `build` loads PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["AlexploreError", "__version__", "analyse", "build", "load_preset"]

if TYPE_CHECKING:
    from alexplore.core.errors import AlexploreError
    from alexplore.network.analysis import analyse
    from alexplore.presets.library import load_preset
    from alexplore.training.model.build import build
else:  # hidden from type checkers, for which a module's `__getattr__` would make every name exist
    _MODULES = {
        "AlexploreError": "alexplore.core.errors",
        "analyse": "alexplore.network.analysis",
        "build": "alexplore.training.model.build",
        "load_preset": "alexplore.presets.library",
    }

    def __getattr__(name: str) -> object:
        """Return a public name from its module, imported when it is first used."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(_MODULES[name]), name)
        return value

    def __dir__() -> list[str]:
        """Return the names of the package, those that are not imported yet too."""
        return sorted({*globals(), *_MODULES})
