"""Values with declared fields: dataclasses that are quick to define.

`@dataclass(frozen=True)` compiles an `__init__`, `__setattr__` and `__delattr__` for each class. For layer types and
recipes that would take longer, at every start of the program, than to analyse a network. Here they are written once.
"""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, dataclass, fields
from typing import Any, ClassVar, dataclass_transform


@dataclass_transform(kw_only_default=True, eq_default=False, frozen_default=True)
class Declared:
    """A frozen dataclass with keyword arguments; its subclasses need no decorator. Values compare by all fields."""

    _defaults: ClassVar[dict[str, Any]] = {}
    """Every field with its default, `MISSING` without one."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__annotations__" in vars(cls):
            dataclass(init=False, repr=False, eq=False, kw_only=True)(cls)
            cls._defaults = {one.name: one.default for one in fields(cls)}  # type: ignore[arg-type]

    def __init__(self, **values: Any) -> None:
        own = {name: values.pop(name, default) for name, default in self._defaults.items()}
        missing = [name for name, value in own.items() if value is MISSING]
        if values or missing:
            what = f"unexpected {', '.join(values)}" if values else f"missing {', '.join(missing)}"
            raise TypeError(f"{type(self).__name__}: {what}")
        vars(self).update(own)

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in vars(self).items())})"
