"""Load a model from a SOURCE. This is the only module that runs code from a user's file."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from alexplore.core.home import resolved
from alexplore.core.settings import nearest
from alexplore.importing.errors import ImportFailed, SourceError, reason_text
from alexplore.presets.sources import FORMS

TORCHVISION = "torchvision"

EXIT: tuple[type[BaseException], ...] = (Exception, SystemExit)
"""Exceptions that a user's code may raise; Ctrl-C is excluded."""


@dataclass(frozen=True)
class Expression:
    """The NAME of a source: a dotted name, and the arguments of its call; None if it is not called."""

    name: str
    arguments: tuple[Any, ...] | None = None
    keywords: Mapping[str, Any] | None = None


def read_expression(text: str, source: str) -> Expression:
    """Parse the NAME of a source: `Net`, `nets.Net` or `Net(num_classes=10)`.

    Raises:
        SourceError: it is neither a name nor a call of one with literal arguments.
    """
    try:
        node = ast.parse(text, mode="eval").body
        if not isinstance(node, ast.Call):
            return Expression(_dotted(node))
        arguments = tuple(ast.literal_eval(argument) for argument in node.args)
        keywords = {_keyword(one): ast.literal_eval(one.value) for one in node.keywords}
        return Expression(_dotted(node.func), arguments, keywords)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise SourceError(
            f"{source}: {text!r} is neither a name nor a call with literal arguments, such as Net(num_classes=10)"
        ) from None


def _keyword(node: ast.keyword) -> str:
    if node.arg is None:  # **arguments
        raise ValueError
    return node.arg


def _dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{_dotted(value)}.{name}"
    raise ValueError


def load_module(source: str, *, with_weights: bool) -> nn.Module:
    """Return the module that FILE.py:NAME, package.module:NAME or torchvision:NAME names, in evaluation mode.

    torchvision's models are built without memory for their weights, unless `with_weights` is set.

    Raises:
        SourceError: there is no such file or name, or it needs arguments that were not given.
        ImportFailed: the code fails.
    """
    where, _, text = source.partition(":")
    expression = read_expression(text, source)
    if where == TORCHVISION:
        return _torchvision_model(expression, source, with_weights=with_weights).eval()
    with _python_like(where):
        namespace = _run_file(Path(where), source) if where.endswith(".py") else _import(where, source)
        return _made(namespace, expression, source).eval()


def _torchvision_model(expression: Expression, source: str, *, with_weights: bool) -> nn.Module:
    """Return one of torchvision's models, without memory for its weights if they are not needed and it allows that."""
    models = _torchvision_models(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about defaults that are going to change
        if not with_weights and not (expression.keywords or {}).get("weights"):
            try:
                with torch.device("meta"):
                    return _made(models, expression, source)
            except ImportFailed:
                pass  # it calculates its widths with tensors
        return _made(models, expression, source)


@contextmanager
def _python_like(where: str) -> Iterator[None]:
    """Set `sys.path` and `sys.argv` as Python does when it runs the file, or is started in the current folder."""
    folder = str(resolved(Path(where)).parent) if where.endswith(".py") else str(Path.cwd())
    argv = sys.argv
    sys.path.insert(0, folder)
    sys.argv = [where]
    try:
        yield
    finally:
        sys.argv = argv


def _run_file(path: Path, source: str) -> ModuleType:
    """Run a file and return its module; a file of a package is imported as a module of that package.

    Raises:
        SourceError: there is no such file.
        ImportFailed: its code fails.
    """
    if not path.is_file():
        raise SourceError(f"{source}: no such file: {path}")
    if uses_relative_imports(path) and (found := package_of(path)) is not None:
        root, name = found
        sys.path.insert(0, str(root))
        return _import(name, source)
    name = path.stem if path.stem not in sys.modules else f"imported_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as `import` does: a dataclass in the file looks up its module
    try:
        spec.loader.exec_module(module)
    except EXIT as error:
        raise ImportFailed(f"{source}: running {path} fails: {reason_text(error)}{_advice(error)}") from error
    return module


def uses_relative_imports(path: Path) -> bool:
    """Return whether a Python file contains a statement such as `from .layers import Block`."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # running it reports that
        return False
    return any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))


def package_of(path: Path) -> tuple[Path, str] | None:
    """Return the folder that contains the outermost package of a Python file, and the file's full module name.

    A package is a folder with an `__init__.py`. Returns None if the file's folder is none.
    """
    folder = path.resolve().parent
    names = [path.stem]
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return (folder, ".".join(names)) if len(names) > 1 else None


def _import(name: str, source: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise SourceError(f"{source}: there is no module {error.name}; a source is {FORMS}") from None
        raise ImportFailed(f"{source}: importing {name} fails: {reason_text(error)}{_advice(error)}") from error
    except EXIT as error:
        raise ImportFailed(f"{source}: importing {name} fails: {reason_text(error)}") from error


def _advice(error: BaseException) -> str:
    """Return what to do about an error of a user's code."""
    if isinstance(error, ImportError) and "no known parent package" in str(error):
        return "; its folder has no __init__.py: go to the folder above, and give the source as FOLDER.FILE:NAME"
    if isinstance(error, SyntaxError):
        return ""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return "; the whole file is run: what only training needs belongs below if __name__ == '__main__'"
    package = error.name.partition(".")[0]
    return f"; install {package} for {sys.executable}, or give a file that does without it"


def _torchvision_models(source: str) -> ModuleType:
    try:
        return importlib.import_module("torchvision.models")
    except ImportError:
        raise SourceError(f"{source}: torchvision is not installed; install it with: pip install torchvision") from None


def _made(namespace: ModuleType, expression: Expression, source: str) -> nn.Module:
    """Return the nn.Module that an expression names or creates.

    Raises:
        SourceError: there is no such name, or it is not an nn.Module, its class, or a function that returns one.
        ImportFailed: the call fails.
    """
    found: Any = namespace
    for part in expression.name.split("."):
        if not hasattr(found, part):
            raise SourceError(f"{source}: there is no {expression.name}{nearest(part, _names(namespace))}")
        found = getattr(found, part)
    if expression.arguments is None and isinstance(found, nn.Module):
        return _checked(found, source)
    if not callable(found) or (isinstance(found, type) and not issubclass(found, nn.Module)):
        kind = "a class that is no nn.Module" if isinstance(found, type) else f"of type {type(found).__name__}"
        raise SourceError(
            f"{source}: {expression.name} is {kind}; allowed: an nn.Module, its class, or a function that returns one"
        )
    _check_arguments(found, expression, source)
    try:
        made = found(*(expression.arguments or ()), **(expression.keywords or {}))
    except EXIT as error:
        raise ImportFailed(f"{source}: making the model fails: {reason_text(error)}") from error
    if not isinstance(made, nn.Module):
        raise SourceError(f"{source}: {expression.name} returns a {type(made).__name__}, not an nn.Module")
    return _checked(made, source)


def _checked(module: nn.Module, source: str) -> nn.Module:
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            what = f"{name} of the model" if name else "it"
            raise SourceError(
                f"{source}: {what} is a TorchScript module, which can't be traced; give the Python class, without "
                "torch.jit"
            )
    return module


def _check_arguments(made: Any, expression: Expression, source: str) -> None:
    """Check that a class or function takes these arguments.

    Raises:
        SourceError: it does not; the message shows its signature.
    """
    try:
        signature = inspect.signature(made)
    except (ValueError, TypeError):
        return
    try:
        signature.bind(*(expression.arguments or ()), **(expression.keywords or {}))
    except TypeError as error:
        where = source.partition(":")[0]
        raise SourceError(
            f"{source}: {expression.name}{signature}: {error}; give the arguments as literals, such as "
            f"'{where}:{expression.name}({_example(signature)})'"
        ) from None


def _example(signature: inspect.Signature) -> str:
    """Return examples of the required arguments, as they could be written in the call."""
    needed = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    return ", ".join(f"{name}=10" for name in needed)


def _names(namespace: ModuleType) -> list[str]:
    """Return the names of a module that may be models."""
    return [name for name, value in vars(namespace).items() if not name.startswith("_") and callable(value)]
