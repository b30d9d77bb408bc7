"""The overview of runs in the first line of every screen: what is training, its progress, and unseen failures."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from alexplore.core.formatting import duration_text
from alexplore.runs.directory import RunDirectory
from alexplore.runs.messages import STATE_GLYPHS
from alexplore.runs.occasions import Occasion, OccasionWatch
from alexplore.runs.summary import Summary


@dataclass(frozen=True)
class Overview:
    """The live runs, and the last failed run that the user has not seen; `total` is the number of all runs."""

    total: int = 0
    live: tuple[Summary, ...] = ()
    unseen: Summary | None = None

    @property
    def texts(self) -> list[tuple[str, str]]:
        """The overview in texts of decreasing length, each with the state that gives it its colour."""
        if self.unseen is not None:
            state, name = self.unseen.status.state, self.unseen.run.name
            return [(f"{_glyph(state)} {name} {state}", state), (f"{_glyph(state)} {state}", state)]
        if not self.live:
            return [("no run is training", "")] if self.total else [("", "")]
        if len(self.live) > 1:
            return [
                (f"{_glyph('running')} {len(self.live)} of {self.total} runs are training", "running"),
                (f"{_glyph('running')} {len(self.live)} runs", "running"),
            ]
        only = self.live[0]
        state, done = only.status.state, f"{only.fraction:.0%}"
        short = f"{_glyph(state)} 1 run {done}"
        whole = f"{_glyph(state)} {only.run.name} {done}"
        left = only.remaining_seconds if state == "running" else None
        texts = [whole, short] if left is None else [f"{whole} · {duration_text(left)} left", whole, short]
        return [(text, state) for text in texts]


def _glyph(state: str) -> str:
    return STATE_GLYPHS.get(state, " ")


@dataclass
class RunMonitor:
    """Follows the summaries of all runs: finds occasions, and remembers failed runs that the user has not seen."""

    _live: Set[str] = frozenset()
    _unseen: list[str] = field(default_factory=list)
    _watches: dict[RunDirectory, OccasionWatch] = field(default_factory=dict)

    def mark_seen(self, name: str) -> None:
        """Record that the user sees a run."""
        self._unseen = [other for other in self._unseen if other != name]

    def occasions(self, summaries: Sequence[Summary]) -> list[Occasion]:
        """Return the occasions since the last call, such as the end of a run."""
        self._watches = {one.run: self._watches.get(one.run) or OccasionWatch() for one in summaries}
        return [occasion for one in summaries for occasion in self._watches[one.run].update(one)]

    def overview(self, summaries: Sequence[Summary]) -> Overview:
        """Return the overview of all runs; a run that was live at the last call and has failed since is unseen."""
        by_name = {summary.run.name: summary for summary in summaries}
        failed = {name for name, summary in by_name.items() if summary.status.state in ("failed", "crashed")}
        self._unseen = [name for name in self._unseen if name in failed]
        self._unseen += sorted((self._live & failed) - set(self._unseen))
        live = tuple(summary for summary in summaries if summary.status.live)
        self._live = frozenset(summary.run.name for summary in live)
        return Overview(len(summaries), live, by_name[self._unseen[-1]] if self._unseen else None)
