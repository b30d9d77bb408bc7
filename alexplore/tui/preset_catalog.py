"""The list of presets: every preset under its family, with its size and what is needed to train it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from alexplore.network.analysis import analyse
from alexplore.presets.library import preset_family, shipped_folder, shipped_names, user_paths
from alexplore.presets.preset import PresetError
from alexplore.presets.reader import read_preset
from alexplore.tui.word_filter import contains_words

YOURS = "yours"
START_HERE = "fmnist-28"  # it trains in minutes on a CPU

FAMILIES: Mapping[str, str] = {
    "alexnet": "AlexNet",
    "fashion-mnist": "Fashion-MNIST",
    "cifar-10": "CIFAR-10",
    "lenet": "LeNet",
    "nin": "NIN",
    "googlenet": "GoogLeNet",
    "resnet": "ResNet",
    "squeezenet": "SqueezeNet",
    "vgg": "VGG",
    YOURS: "Yours",
}
"""The headings of the families, in the order of the list; any other family is listed by its name before "Yours"."""


@dataclass(frozen=True)
class PresetEntry:
    """A preset in the list. `read_entry` fills in what is in the rest of its file."""

    name: str
    family: str
    path: Path
    title: str = ""
    params: int | None = None
    need: str = ""
    error: str = ""

    @property
    def own(self) -> bool:
        """Whether it is the user's own preset."""
        return self.family == YOURS

    def matches(self, words: str) -> bool:
        """Return whether each word is in the name, the family, the title or the need."""
        heading = FAMILIES.get(self.family, self.family)
        return contains_words(f"{self.name} {heading} {self.title} {self.need}", words)


def list_entries() -> list[PresetEntry]:
    """Return every preset, by family, the user's own last. Only the heads of the files are read."""
    entries = [
        PresetEntry(name, preset_family(path), path)
        for name in shipped_names()
        for path in [shipped_folder() / f"{name}.toml"]
    ]
    with suppress(PresetError):  # saving a preset shows why the folder can't be read
        entries += [PresetEntry(path.stem, YOURS, path) for path in user_paths()]
    order = [family for family in FAMILIES if family != YOURS]
    return sorted(entries, key=lambda entry: _place(order, entry.family))


def _place(order: Sequence[str], family: str) -> int:
    if family == YOURS:
        return len(order) + 1
    return order.index(family) if family in order else len(order)


def read_entry(entry: PresetEntry) -> PresetEntry:
    """Return an entry with its title, size and need, or with the reason why it can't be used."""
    from alexplore.runs.data.dataset_shapes import dataset_need  # after the first screen, which lists the heads alone

    try:
        preset = read_preset(entry.path)
    except PresetError as error:
        return replace(entry, error=str(error))
    analysis = analyse(preset.network)
    broken = str(analysis.broken.error) if analysis.broken else ""
    need = dataset_need(preset.recipe.dataset)
    return replace(entry, title=preset.title, params=analysis.totals.params, need=need, error=broken)


Line = str | PresetEntry
"""A line of the list: the family of a heading, or a preset."""


def list_lines(entries: Sequence[PresetEntry]) -> Iterator[Line]:
    """Yield the entries, each family under its heading."""
    family = None
    for entry in entries:
        if entry.family != family:
            family = entry.family
            yield family
        yield entry


def heading_text(family: str, entries: Sequence[PresetEntry]) -> tuple[str, str]:
    """Return the heading of a family, and the need of its presets if all have the same."""
    needs = {entry.need for entry in entries if entry.family == family}
    return FAMILIES.get(family, family), needs.pop() if len(needs) == 1 and family != YOURS else ""
