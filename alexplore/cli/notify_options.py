"""The options --on-end and --notify, by which a user is notified about a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from alexplore.cli.output import complain
from alexplore.core.errors import WrongUseError
from alexplore.core.processes import StartError
from alexplore.runs.directory import RunDirectory
from alexplore.runs.occasion_kinds import OCCASIONS, USUAL, read_occasions

OnEndOption = Annotated[
    str | None,
    typer.Option(
        "--on-end",
        metavar="COMMAND",
        help="Run a shell command when the run stalls or ends, even if it is killed. Its environment has "
        "ALEXPLORE_RUN, _STATE, _REASON, _BEST and more.",
    ),
]
NotifyOption = Annotated[
    str | None,
    typer.Option(
        "--notify",
        metavar="WHEN,…",
        help=f"When to notify you, any of {', '.join(OCCASIONS)}; by default all but best.",
    ),
]


@dataclass(frozen=True)
class NotifyOptions:
    """The command to run, and when to call the user: None if that was not named."""

    command: str | None = None
    occasions: tuple[str, ...] | None = None

    @property
    def command_occasions(self) -> tuple[str, ...]:
        """The occasions at which the command runs: those that were named, else the usual ones."""
        return USUAL if self.occasions is None else self.occasions

    def start_on_end(self, run: RunDirectory) -> None:
        """Start the process that runs the command, if there is one, for a run whose worker was just started.

        The run goes on if that is not possible; the reason is printed.
        """
        if self.command:
            from alexplore.runs.on_end import start_on_end

            try:
                start_on_end(run, self.command, self.command_occasions)
            except StartError as error:
                complain(f"{error}; the run is trained without it")


def read_notify_options(on_end: str | None, notify: str | None, unattended: str | None = None) -> NotifyOptions:
    """Return the options --on-end and --notify of a command.

    `unattended` names what is started if the command does not follow it, such as "a detached run": without a command to
    run there, --notify would do nothing.

    Raises:
        SettingError: an occasion is unknown.
        WrongUseError: --notify would do nothing.
    """
    if notify and unattended and not on_end:
        raise WrongUseError(
            f"--notify: {unattended} notifies you by a command; give it, too, for example "
            "--on-end 'notify-send \"$ALEXPLORE_RUN $ALEXPLORE_STATE\"'"
        )
    return NotifyOptions(on_end, read_occasions(notify.split(",")) if notify else None)
