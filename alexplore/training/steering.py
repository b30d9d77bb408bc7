"""Changes of the recipe during training: at the same step on every rank, and repeated in a resumed run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from alexplore.core.atomic_files import write_atomically
from alexplore.core.boundary import os_error_text
from alexplore.core.settings import SettingError
from alexplore.presets.recipe import Recipe
from alexplore.runs.config import RunConfig
from alexplore.runs.control import Request
from alexplore.runs.directory import RunDirectory
from alexplore.runs.protocol import ChangeEvent, ControlEvent
from alexplore.runs.steering import check_steering
from alexplore.training.parallel.ranks import Ranks
from alexplore.training.run_writer import RunWriter


class Steering:
    """The config of a run while it is trained; every rank has one."""

    def __init__(self, run: RunDirectory, config: RunConfig, ranks: Ranks, writer: RunWriter, step: int) -> None:
        """`step` counts the updates before this attempt; changes at later updates are repeated at those."""
        self._run, self._config, self._ranks, self._writer = run, config, ranks, writer
        self._reported = step  # changes up to this step have an event

    def recipe_at(self, step: int) -> Recipe:
        """Return the recipe of the update after `step` updates."""
        return self._config.recipe_at(step)

    def advance(self, step: int) -> Recipe:
        """Return the recipe of the update after `step` updates, and report the changes that are repeated there."""
        for change in self._config.changes:
            if self._reported < change.step <= step:
                self._writer.event(ChangeEvent(change.step, change.before, change.after, repeated=True))
        self._reported = max(self._reported, step)
        return self.recipe_at(step)

    def change(self, requests: Sequence[Request], step: int, epoch: int) -> Recipe:
        """Change the recipe from the update after `step` updates on, as `requests` ask; return the new one.

        All ranks call this together; only rank 0 has requests, which it answers. A change is written to config.json
        before it is made, so that a run that is killed afterwards repeats it. `epoch` is the number of the current one.
        """
        self.advance(step)
        for request in requests:
            error = self._grant(request, step, epoch)
            self._writer.event(ControlEvent(request.id, request.action, step, error))
        recipe, changes = self._ranks.broadcast((self._config.recipe, self._config.changes))
        self._config = replace(self._config, recipe=recipe, changes=changes)
        return self.recipe_at(step)

    def _grant(self, request: Request, step: int, epoch: int) -> str | None:
        """Make the change of one request; return the reason if it can't be made, else None."""
        try:
            check_steering(self.recipe_at(step), request.values, epoch)
            changed = self._config.steered(step, request.values)
            write_atomically(self._run.config_file, changed.to_json())
        except SettingError as error:
            return str(error)
        except OSError as error:
            return f"config.json can't be written: {os_error_text(error)}"
        self._config = changed
        made = next(change for change in reversed(changed.changes) if change.step == step)
        self._writer.event(ChangeEvent(step, made.before, made.after))
        return None
