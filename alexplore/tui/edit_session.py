"""The network that is being looked at, its recipe, and the edits made to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from alexplore.network.analysis import Analysis, analyse
from alexplore.network.graph import Network
from alexplore.presets.preset import Preset
from alexplore.presets.recipe import Recipe


@dataclass
class Workspace:
    """A preset as it was opened and as it is now, with every step between to go back and forth."""

    preset: Preset
    done: list[Preset] = field(default_factory=list)
    undone: list[Preset] = field(default_factory=list)
    analysis: Analysis = field(init=False)

    def __post_init__(self) -> None:
        self.opened = self.preset
        self.trained: Network | None = None
        self.analysis = analyse(self.preset.network)

    @property
    def network(self) -> Network:
        """The network as it is now."""
        return self.preset.network

    @property
    def modified(self) -> bool:
        """Whether it differs from what was opened or last saved."""
        return self.preset.network != self.opened.network or self.preset.recipe != self.opened.recipe

    @property
    def would_be_lost(self) -> bool:
        """Whether the network is nowhere else: neither in a preset nor in a run."""
        return self.network not in (self.opened.network, self.trained)

    @property
    def title(self) -> str:
        """Name and title, marked where it was edited."""
        edited = " (edited)" if self.modified else ""
        return f"{self.preset.name}{edited}" + (f" · {self.preset.title}" if self.preset.title else "")

    def open(self, preset: Preset) -> None:
        """Begin anew with another preset."""
        self.preset = self.opened = preset
        self.done.clear()
        self.undone.clear()
        self.analysis = analyse(preset.network)

    def saved(self, preset: Preset) -> None:
        """Go on as the preset that was just saved; the history stays."""
        self.preset = self.opened = preset

    def edit(self, network: Network) -> None:
        """Take one step; what was undone before can't be redone after it."""
        if network == self.network:
            return
        self.done.append(self.preset)
        self.undone.clear()
        self._show(self.preset.with_network(network))

    def undo(self) -> bool:
        """Go back one step; False where there is none."""
        return self._step(self.done, self.undone)

    def redo(self) -> bool:
        """Go forth one step; False where there is none."""
        return self._step(self.undone, self.done)

    def with_recipe(self, recipe: Recipe) -> None:
        """Train by another recipe: a run has it now, with the network."""
        self.preset = replace(self.preset, recipe=recipe)
        self.trained = self.network

    def _step(self, source: list[Preset], target: list[Preset]) -> bool:
        if not source:
            return False
        target.append(self.preset)
        self._show(source.pop())
        return True

    def _show(self, step: Preset) -> None:
        """Show the network of a step; its published numbers have the names that the layers have there."""
        self.preset = replace(self.preset, network=step.network, published=step.published)
        self.analysis = analyse(step.network, self.analysis)
