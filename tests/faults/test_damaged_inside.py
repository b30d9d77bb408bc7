"""Damaged files of `inside/`: refused by name, or shown; no traceback in any command, nor on the screen."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alexplore.cli.inside import SHOWN
from alexplore.runs.directory import RunDirectory
from alexplore.runs.inside import InsideError, inside_file, load_epoch
from alexplore.tui.inside_lines import drawn, listed
from alexplore.tui.inside_state import VIEWS, InsideReader, InsideState
from docs.demo_runs import DemoRuns
from tests.faults.damage import flipped, replaced, retyped, truncated
from tests.support.command_line import run_here
from tests.support.hostile import check_inert, planted

SEED = 15
EPOCH = 2
"""The epoch whose file is damaged, of three; also the one that is shown."""


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return DemoRuns(tmp_path / "runs").write("run", "finished", 60, age=500.0)


def header_of(content: bytes) -> tuple[dict[str, object], bytes]:
    """Return the header of a .safetensors file, and the tensors behind it."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def with_header(header: bytes, tensors: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + tensors


def about(content: bytes) -> str:
    """Return the JSON in the metadata, which says what the tensors are."""
    metadata = header_of(content)[0]["__metadata__"]
    assert isinstance(metadata, dict)
    return str(metadata["alexplore"])


def with_about(content: bytes, text: str) -> bytes:
    header, tensors = header_of(content)
    return with_header(json.dumps({**header, "__metadata__": {"alexplore": text}}).encode(), tensors)


def flipped_headers(content: bytes, generator: random.Random) -> Iterator[bytes]:
    """Yield a file with bits flipped in its header, where all that matters stands, and elsewhere."""
    size = int.from_bytes(content[:8], "little")
    for header in flipped(content[8 : 8 + size], 1500, generator):
        yield content[:8] + header + content[8 + size :]
    yield from flipped(content, 500, generator)


def retyped_metadata(content: bytes) -> Iterator[bytes]:
    for changed in retyped(about(content).encode()):
        yield with_about(content, changed.decode())


def planted_metadata(content: bytes) -> Iterator[bytes]:
    for changed in planted(json.loads(about(content))):
        yield with_about(content, json.dumps(changed))


def retyped_tensors(content: bytes) -> Iterator[bytes]:
    """Yield a file in which one tensor has another type or shape, of the same size."""
    header, tensors = header_of(content)
    for name, tensor in header.items():
        if isinstance(tensor, dict) and "dtype" in tensor:
            size = tensor["data_offsets"][1] - tensor["data_offsets"][0]
            for dtype, width in (("U8", 1), ("I8", 1), ("F32", 4), ("I32", 4), ("F64", 8), ("BOOL", 1), ("BF16", 2)):
                for shape in ([size // width], [1, size // width], [size // width, 1, 1, 1], [1, 1, 1, size // width]):
                    other = {**tensor, "dtype": dtype, "shape": shape}
                    yield with_header(json.dumps({**header, name: other}).encode(), tensors)


DAMAGES: dict[str, Callable[[bytes, random.Random], Iterator[bytes]]] = {
    "truncated": lambda content, _: truncated(content),
    "flipped": flipped_headers,
    "retyped": lambda content, _: retyped_metadata(content),
    "hostile": lambda content, _: planted_metadata(content),
    "other tensors": lambda content, _: retyped_tensors(content),
}


def check_shown(run: RunDirectory) -> bool:
    """Return whether the damaged file can be read. Then every view of the screen shows it; else the reason names it."""
    try:
        epoch = load_epoch(run, EPOCH)
    except InsideError as error:
        assert str(error).startswith(str(inside_file(run, EPOCH)))
        return False
    state = InsideState(run)
    state.take(InsideReader(run).read())
    state.show(EPOCH, epoch)
    for view in VIEWS:
        state.view = view
        rows = listed(state, 60).rows
        for selected in (0, len(rows) - 1):
            drawn(state, selected, 60, 20)
    return True


def check_commands(run: RunDirectory, commands: tuple[tuple[str, ...], ...]) -> None:
    for command in commands:
        result = run_here("runs", *command, "--runs-dir", str(run.path.parent))
        assert result.returncode in (0, 1, 2), (command, result.stderr)
        check_inert(result.stdout + result.stderr)


INSIDE = ("inside", "run", "--epoch", str(EPOCH))
COMMANDS = (
    *((*INSIDE, "--show", what) for what in SHOWN),
    (*INSIDE, "--json"), (*INSIDE, "--layer", "conv1"), ("inside", "run", "--layer", "conv1", "--json"),
    ("show", "run"), ("export", "run", "--to", "html", "--output", "/dev/null"),
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_share_of_the_damages(run: RunDirectory, damage: str) -> None:
    generator = random.Random(f"{SEED} {damage}")
    path = inside_file(run, EPOCH)
    made = list(DAMAGES[damage](path.read_bytes(), generator))
    for number, content in enumerate(generator.sample(made, 5)):
        path.write_bytes(content)
        check_shown(run)
        check_commands(run, (COMMANDS[number % len(COMMANDS)],))


@pytest.mark.faults
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage(run: RunDirectory, damage: str, record_property: Callable[[str, object], None]) -> None:
    generator = random.Random(f"{SEED} {damage}")
    path = inside_file(run, EPOCH)
    count = shown = 0
    for count, content in enumerate(DAMAGES[damage](path.read_bytes(), generator), start=1):
        path.write_bytes(content)
        readable = check_shown(run)
        shown += readable
        if count % (20 if readable else 1000) == 0:
            check_commands(run, (COMMANDS[count // 20 % len(COMMANDS)],))
    record_property(f"fault: damaged file of inside/, {damage}", count)
    record_property(f"fault: damaged file of inside/, {damage}, shown", shown)


def test_what_is_no_file_is_named_and_not_opened(run: RunDirectory) -> None:
    for kind in replaced(inside_file(run, EPOCH)):
        assert not check_shown(run), kind
        check_commands(run, COMMANDS)
