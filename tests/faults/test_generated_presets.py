"""Generated presets: each ends in a result or in one message, whatever is asked of it, and within bounded work."""

from __future__ import annotations

import io
import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from rich.console import Console

from alexplore.core.errors import AlexploreError
from alexplore.export import FORMATS, export_preset, report
from alexplore.network.analysis import Analysis, analyse
from alexplore.network.compare import compare
from alexplore.network.graph import Network
from alexplore.network.limits import image_bytes
from alexplore.presets.library import load_preset
from alexplore.presets.preset import Preset
from alexplore.presets.published import check_published, published_text
from alexplore.presets.reader import parse_preset
from alexplore.presets.text import preset_text
from alexplore.render.network_tables import about, diff_table, diff_totals, explanation, shapes_table, totals_lines
from alexplore.runs.config import Hardware, RunConfig
from alexplore.runs.preflight import find_problems
from alexplore.training.model.build import build
from tests.faults.presets import preset_files

MOST_SECONDS = 20
"""Of the processor, for all that is done with one preset: how long a test waits that would hang."""

SMALL_BYTES = 2**24
"""A network is built if it takes less; a larger one could take the machine's memory, unless it is refused."""

NO_MACHINE = 2**47


def render(preset: Preset, analysis: Analysis) -> str:
    """Return all that the commands print of a preset."""
    printed = io.StringIO()
    out = Console(file=printed, width=100, color_system=None)
    out.print(shapes_table(preset, analysis))
    for line in (
        *totals_lines(preset, analysis, 3),
        *explanation(preset, analysis, analysis.rows, 3, totals=True),
        *about(preset, analysis),
    ):
        out.print(line)
    for checked in check_published(preset.published, analysis):
        out.print(published_text(checked))
    return printed.getvalue()


def strict_json(text: str) -> object:
    """Return the value of a JSON text, in which NaN and Infinity are no numbers."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def check_reports(preset: Preset, analysis: Analysis) -> None:
    strict_json(report.to_json(preset, analysis, 3))
    assert report.to_csv(analysis, 3).count("\n") == len(analysis.rows) + 1
    assert report.to_markdown(analysis, 3)
    for broken in (row for row in analysis.rows if row.error):
        assert broken.output is None
        for fix in broken.fixes:
            assert analyse(fix.network).rows  # what is proposed can be analysed


def check_diff(preset: Preset, other: Preset) -> None:
    out = Console(file=io.StringIO(), width=100, color_system=None)
    for a, b in ((preset, other), (other, preset), (preset, preset)):
        comparison = compare(a.network, b.network)
        out.print(diff_table(a, b, comparison))
        out.print(diff_totals(a, b, comparison))
        strict_json(json.dumps(comparison.to_dict()))


def check_exports(preset: Preset) -> None:
    for name in FORMATS:
        with suppress(AlexploreError):
            text = export_preset(preset, name)
            if name in ("pytorch", "keras"):
                compile(text, name, "exec")
            if name == "json":
                strict_json(text)


def check_written(preset: Preset) -> None:
    """Check that a preset is written as it was read."""
    again = parse_preset(preset_text(preset), Path("written.toml"))
    assert (again.network, again.recipe, again.published) == (preset.network, preset.recipe, preset.published)


def check_build(network: Network, analysis: Analysis) -> None:
    """Check that a network is built or refused: a small one, or one that no machine can hold."""
    needed = 4 * (analysis.totals.params + analysis.totals.buffers)
    needed += max((image_bytes(row) for row in analysis.rows), default=0)
    if analysis.broken or needed > NO_MACHINE:
        with pytest.raises(AlexploreError):
            build(network)
    elif needed < SMALL_BYTES:
        with suppress(AlexploreError):
            build(network)


def check_problems(preset: Preset) -> None:
    for hardware in (Hardware(), Hardware("cpu", 2, "towers")):
        for problem in find_problems(RunConfig(preset.name, preset.network, preset.recipe, hardware)):
            assert problem.message


@contextmanager
def bounded_work() -> Iterator[None]:
    """Fail what takes longer than `MOST_SECONDS` of the processor."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"still at it after {MOST_SECONDS} s of the processor")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def check(text: str, other: Preset) -> str:
    """Do everything with the text of a preset file that takes no training, and return how far it came."""
    with bounded_work():
        try:
            preset = parse_preset(text, Path("generated.toml"))
        except AlexploreError as error:
            assert re.match(r"generated\.toml: .", str(error))
            return "refused"
        analysis = analyse(preset.network)
        render(preset, analysis)
        check_reports(preset, analysis)
        check_diff(preset, other)
        check_exports(preset)
        check_written(preset)
        check_problems(preset)
        check_build(preset.network, analysis)
        return "broken" if analysis.broken else "working"


def check_many(count: int, start: int) -> dict[str, int]:
    """Check so many presets, always the same for a start, and return how many came how far."""
    other = load_preset("lenet")
    found: dict[str, int] = {}

    @seed(start)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(preset_files())
    def one(text: str) -> None:
        how_far = check(text, other)
        found[how_far] = found.get(how_far, 0) + 1

    one()
    return found


def test_a_share_of_the_presets() -> None:
    found = check_many(30, 12)
    assert set(found) == {"refused", "broken", "working"}


@pytest.mark.faults
@pytest.mark.parametrize("start", range(2, 7))
def test_generated_presets(start: int, record_property: Callable[[str, object], None]) -> None:
    for how_far, count in check_many(500, start).items():
        record_property(f"fault: generated presets, {how_far}", count)
