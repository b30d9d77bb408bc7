"""The formats in which a run can be exported, by their names in `alexplore runs export --to`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from alexplore.runs.directory import RunDirectory
from alexplore.runs.export import metrics_csv, metrics_json, tensorboard_file


@dataclass(frozen=True)
class RunFormat:
    """A format: its name, what it is, and what makes it: a text, or a file whose name matters, in a folder.

    Both come in pieces, so that a long run takes little memory.
    """

    name: str
    doc: str
    text: Callable[[RunDirectory], Iterator[str]] | None = None
    file: Callable[[RunDirectory], tuple[str, Iterator[bytes]]] | None = None


def _page(run: RunDirectory) -> Iterator[str]:
    from alexplore.export.run_page import run_page

    yield run_page(run)


RUN_FORMATS: Mapping[str, RunFormat] = {
    each.name: each
    for each in (
        RunFormat("csv", "the metrics, a row for each step", text=metrics_csv),
        RunFormat("json", "the same rows as JSON", text=metrics_json),
        RunFormat("tensorboard", "an event file in a folder, which TensorBoard opens", file=tensorboard_file),
        RunFormat("html", "one page with curves, recipe, network and confusion matrix", text=_page),
    )
}
