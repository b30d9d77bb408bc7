"""Which process of a run is killed, by which signal, in which phase: each combination once, in a drawn order."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from signal import Signals
from typing import Literal

Victim = Literal["worker", "rank", "decoder", "follower", "app"]
"""The worker is the launcher if a run has several ranks; a decoder decodes images; the follower has started the run."""

Planned = tuple[Victim, Signals]

SIGNALS = (Signals.SIGKILL, Signals.SIGTERM, Signals.SIGINT, Signals.SIGHUP)
PHASES = ("starting", "training", "saving", "evaluating")

ENDING: Mapping[Victim, tuple[Signals, ...]] = {
    "worker": SIGNALS,
    "rank": SIGNALS,
    "decoder": (Signals.SIGKILL, Signals.SIGTERM),
    "follower": (Signals.SIGTERM, Signals.SIGINT),
    "app": (),
}
"""The signals to a victim with which the run ends. It goes on without an app, and without a follower that is killed or
whose terminal is closed."""


@dataclass(frozen=True)
class Start:
    """A run that is started, or resumed, and whose processes are then killed one after the other."""

    ranks: int
    pictures: bool
    """Whether its images are files, which processes decode."""

    phase: str
    resumed: bool
    kills: tuple[Planned, ...]
    """Victims and signals; the run ends with the last one alone."""

    def __str__(self) -> str:
        return f"{self.phase}: {', '.join(f'{victim} {number.name}' for victim, number in self.kills)}"

    def has(self, victim: Victim) -> bool:
        """Return whether a victim is killed."""
        return any(killed == victim for killed, _ in self.kills)

    @property
    def by_app(self) -> bool:
        """Whether the app resumes the run, as a person does there, in place of a command line."""
        return self.resumed and self.has("app") and not self.has("follower")


def planned_runs(seed: int) -> list[tuple[Start, Start]]:
    """Return for each run how it is started and then resumed; together all combinations that there are, each once."""
    rng = random.Random(seed)
    runs: list[tuple[Start, Start]] = []
    for ranks, pictures in ((1, False), (2, False), (1, True)):
        first, second = (list(_starts(ranks, pictures, resumed, rng)) for resumed in (False, True))
        rng.shuffle(first)
        rng.shuffle(second)
        runs.extend(zip(first, second, strict=True))
    return runs


def _starts(ranks: int, pictures: bool, resumed: bool, rng: random.Random) -> Iterator[Start]:
    if pictures:
        for number in SIGNALS:
            also: tuple[Planned, ...] = () if number in ENDING["decoder"] else (("worker", Signals.SIGTERM),)
            yield Start(ranks, pictures, "training", resumed, (("decoder", number), *also))
        return
    victims: tuple[Victim, ...] = ("worker", "follower", "app") if ranks == 1 else ("worker", "rank", "follower", "app")
    for phase in PHASES:
        every: list[Planned] = [(victim, number) for victim in victims for number in SIGNALS]
        rng.shuffle(every)
        ending = [kill for kill in every if kill[1] in ENDING[kill[0]]]
        others = [kill for kill in every if kill[1] not in ENDING[kill[0]]]
        ending.sort(key=lambda kill: kill[0] != "follower")  # which can't be killed twice: an app is killed before
        others.sort(key=lambda kill: kill[0] != "app")
        for other, last in zip_longest(others, ending):
            yield Start(ranks, pictures, phase, resumed, (other, last) if other else (last,))


def drawn_start(ranks: int, resumed: bool, rng: random.Random) -> Start:
    """Return one of the starts of the plan."""
    return rng.choice(list(_starts(ranks, False, resumed, rng)))
