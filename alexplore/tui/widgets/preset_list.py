"""The list of presets by family, the user's own last."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from alexplore.presets.library import preset_family, shipped_folder, shipped_names, user_paths
from alexplore.presets.preset import PresetError


class PresetList(OptionList):
    """The list of presets; the open one is highlighted."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(*preset_options(), id=id, classes=classes)

    def fill(self) -> None:
        """List the presets that there are now."""
        self.clear_options()
        self.add_options(preset_options())

    def point_at(self, name: str) -> None:
        """Highlight a preset, if it is listed."""
        names = [option.id for option in self.options]
        if name in names:
            self.highlighted = names.index(name)


def preset_options() -> list[Option | None]:
    """Return an option for each preset under a heading for each family. Only the heads of the files are read."""
    families: dict[str, list[Option]] = {}
    for name in shipped_names():
        families.setdefault(preset_family(shipped_folder() / f"{name}.toml"), []).append(Option(Content(name), id=name))
    try:
        own = user_paths()
    except PresetError:
        own = []
    families["yours"] = [Option(Content(path.stem), id=path.stem) for path in own]
    options: list[Option | None] = []
    for family, members in families.items():
        if members:
            options.append(Option(Content.styled(family, "dim"), disabled=True))
            options.extend(members)
    return options
