"""Nothing is left in the package that nothing uses."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from alexplore.runs.protocol import EVENTS

ROOT = Path(__file__).parents[1]
MODULES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "alexplore").glob("**/*.py")}
OTHERS = [path.read_text(encoding="utf-8") for name in ("benchmarks", "docs") for path in (ROOT / name).glob("*.py")]
CALLED_BY_NAME = {"import_"}  # `alexplore import`: the command is looked up by its name


def defined(text: str) -> Iterator[str]:
    """Yield the names that a module defines. A decorated function is used by its decorator."""
    for node in ast.parse(text).body:
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.FunctionDef(name=name, decorator_list=[]) | ast.AsyncFunctionDef(name=name, decorator_list=[]):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name


def test_every_function_class_and_constant_is_used() -> None:
    """Uses in tests do not count."""
    words = Counter(word for text in (*MODULES.values(), *OTHERS) for word in re.findall(r"\w+", text))
    unused = {f"{path}: {name}" for path, text in MODULES.items() for name in defined(text) if words[name] == 1}
    assert {one for one in unused if one.split()[-1] not in CALLED_BY_NAME} == set()


def test_every_event_is_written() -> None:
    made = {name for text in MODULES.values() for name in re.findall(r"(?<!class )\b(\w+Event)\(", text)}
    assert {event.__name__ for event in EVENTS.values()} <= made


def test_every_marker_marks_tests() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("**/*.py"))
    for marker in declared["markers"]:
        assert f"pytest.mark.{marker.partition(':')[0]}" in tests
