"""The lines of events.jsonl and metrics.jsonl, which a worker writes to a run directory.

Only this module converts them to and from records. An event is one entry in `EVENTS`; metrics are declared in
`metrics.py`. Readers ignore events and keys that they don't know, of a later version, and keep them in `record`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache, partial
from math import isfinite
from types import UnionType
from typing import Any, ClassVar, TypeGuard, TypeVar, get_args, get_origin, get_type_hints

from alexplore.core.settings import LARGEST
from alexplore.runs.lines import HEAD, VERSION, read_number
from alexplore.runs.metrics import metric_of


@dataclass(frozen=True)
class Head:
    """The first keys of every line.

    `seq` numbers the lines of a file from 0. `attempt` is 0 until a run is resumed, which adds 1. `time` is in seconds
    since 1970.
    """

    seq: int = -1
    attempt: int = 0
    time: float = 0.0


@dataclass(frozen=True)
class MetricsLine:
    """Metrics after `step` updates of the weights and `epoch` passes over the training images, a fraction."""

    step: int
    epoch: float
    values: Mapping[str, float]
    head: Head = Head()
    record: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


class Event:
    """Something that happened in a run; `kind` is its name in the file."""

    kind: ClassVar[str]


@dataclass(frozen=True)
class PreparingEvent(Event):
    """Something that takes time before training begins, such as the reading of a data set."""

    kind = "preparing"
    message: str


@dataclass(frozen=True)
class DatasetEvent(Event):
    """The data set was opened: numbers of training and validation images and of classes.

    `synthetic` images are drawn by the program.
    """

    kind = "dataset"
    name: str
    train: int
    val: int
    classes: int
    synthetic: bool = False


@dataclass(frozen=True)
class WeightsEvent(Event):
    """The training starts from weights; `source` is their file or checkpoint folder.

    `taken` maps each layer that took weights to the layer's name in the source. `left` maps each other layer with
    parameters, which starts from initial weights, to the reason. `unused` maps each layer of the source that was not
    used to its shapes.
    """

    kind = "weights"
    source: str
    taken: Mapping[str, str]
    left: Mapping[str, str] = field(default_factory=dict)
    unused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PrecisionEvent(Event):
    """The precision that was chosen.

    `seconds` maps each precision to the time that the slowest rank takes for a forward and a backward pass over
    `images` images; on a CPU it is the processor time of one thread. It is empty if the recipe names the precision.
    `speedup` is the time in fp32 divided by that in bf16. `peak_flops` are the operations a second of one rank's matrix
    multiplication. `kept` means that an earlier attempt made the choice.
    """

    kind = "precision"
    precision: str
    device: str
    peak_flops: float
    images: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    speedup: float | None = None
    kept: bool = False


@dataclass(frozen=True)
class StartEvent(Event):
    """Training began after `step` updates.

    `threads` are those of each rank. `recipe` holds the settings that differ from their defaults. `flops_per_image` are
    floating-point operations of a training step, `peak_flops` operations a second of all ranks' matrix multiplication.
    `kernels` are the names of the faster kernels that are used, separated by spaces; None in runs of earlier versions.
    """

    kind = "start"
    step: int
    device: str
    device_name: str
    threads: int
    ranks: int
    parallel: str
    precision: str
    flops_per_image: int
    peak_flops: float
    recipe: Mapping[str, Any] = field(default_factory=dict)
    kernels: str | None = None


@dataclass(frozen=True)
class EpochEvent(Event):
    """An epoch was trained and evaluated.

    `epoch` counts finished epochs, so the first is 1; `step` counts updates since the run began. `metrics` are means
    over the epoch; in the file their keys are beside the other keys. `seconds` is the time of training and evaluation
    since the run began, over all attempts. `damaged` counts images that could not be read so far.
    """

    kind = "epoch"
    epoch: int
    step: int
    metrics: Mapping[str, float] = field(metadata={"flat": True})
    seconds: float = 0.0
    damaged: int = 0


@dataclass(frozen=True)
class ExchangeEvent(Event):
    """Bytes that crossed between towers for one image, by layer, counted in the last epoch."""

    kind = "exchange"
    bytes_per_image: Mapping[str, float]


@dataclass(frozen=True)
class CheckpointEvent(Event):
    """A checkpoint was saved in `seconds`, after `epoch` whole epochs; `best` if its `monitor` is the best so far."""

    kind = "checkpoint"
    step: int
    epoch: int
    best: bool
    seconds: float


@dataclass(frozen=True)
class ControlEvent(Event):
    """The answer to a request: granted at `step`, or refused with an `error`. `request` is the request's id."""

    kind = "control"
    request: str
    action: str
    step: int
    error: str | None = None


@dataclass(frozen=True)
class ChangeEvent(Event):
    """Keys of the recipe have other values from the update after `step` on.

    `repeated` means that an earlier attempt made the change, at the same step.
    """

    kind = "change"
    step: int
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    repeated: bool = False


@dataclass(frozen=True)
class EvaluationEvent(Event):
    """The validation images were evaluated on request, after `step` updates and `epoch` epochs, a fraction."""

    kind = "evaluation"
    step: int
    epoch: float
    metrics: Mapping[str, float] = field(metadata={"flat": True})


@dataclass(frozen=True)
class WarningEvent(Event):
    """A warning: the run continues."""

    kind = "warning"
    message: str


NOT_FINITE = "not finite"
EXPLAINED = "explained"


@dataclass(frozen=True)
class ErrorEvent(Event):
    """The error that ended the run.

    `cause` is `NOT_FINITE` if a number was not finite, `EXPLAINED` if the message says what to do about any other
    error, and None if console.log says more, such as a traceback.
    """

    kind = "error"
    message: str
    cause: str | None = None


@dataclass(frozen=True)
class EndEvent(Event):
    """The worker ended with `state` finished, stopped or failed."""

    kind = "end"
    state: str
    step: int
    reason: str | None = None


@dataclass(frozen=True)
class UnknownEvent(Event):
    """A damaged event, or one of a kind that this version does not know; its `EventLine` keeps the `record`."""

    name: str


EVENTS: Mapping[str, type[Event]] = {
    event.kind: event
    for event in (
        PreparingEvent,
        DatasetEvent,
        WeightsEvent,
        PrecisionEvent,
        StartEvent,
        EpochEvent,
        ExchangeEvent,
        CheckpointEvent,
        ControlEvent,
        ChangeEvent,
        EvaluationEvent,
        WarningEvent,
        ErrorEvent,
        EndEvent,
    )
}
"""Every kind of event by its name in the file."""

EventType = TypeVar("EventType", bound=Event)


@dataclass(frozen=True)
class EventLine:
    """An event, with the head of its line and the whole record."""

    event: Event
    head: Head = Head()
    record: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


def metrics_record(line: MetricsLine) -> dict[str, Any]:
    """Return what metrics.jsonl holds of a line besides its head.

    Raises:
        KeyError: a metric is not declared (see `metric_of`).
    """
    for key in line.values:
        if metric_of(key) is None:
            raise KeyError(key)
    return {"step": line.step, "epoch": line.epoch, **line.values}


def read_metrics(record: Mapping[str, Any]) -> MetricsLine | None:
    """Return a line of metrics.jsonl with all of its numbers; None if it is damaged or of a later version."""
    step, epoch = record.get("step"), read_number(record.get("epoch"))
    if not is_step(step) or not is_epoch(epoch) or record.get("v", VERSION) > VERSION:
        return None
    return MetricsLine(step, epoch, _numbers(record, NO_METRICS), _head(record), record)


NO_METRICS = frozenset((*HEAD, "step", "epoch"))
"""The keys of a line of metrics.jsonl that are not metrics."""


def is_step(value: Any) -> TypeGuard[int]:
    """Return whether a value from a file is a valid number of updates, or any other count."""
    return type(value) is int and 0 <= value < 2**63


def is_epoch(value: float | None) -> TypeGuard[float]:
    """Return whether a number from a file is a valid number of epochs."""
    return value is not None and 0 <= value <= LARGEST


def event_record(event: Event) -> dict[str, Any]:
    """Return what events.jsonl holds of an event besides its head; fields that are None are left out."""
    record: dict[str, Any] = {"event": event.kind}
    for entry in fields(event):  # type: ignore[arg-type]  # every event is a dataclass
        value = getattr(event, entry.name)
        if entry.metadata.get("flat"):
            record.update(value)
        elif value is not None:
            record[entry.name] = value
    return record


def read_event(record: Mapping[str, Any]) -> EventLine:
    """Return a line of events.jsonl; its event is an `UnknownEvent` if it can't be read."""
    name = str(record.get("event"))
    kind = EVENTS.get(name) if record.get("v", VERSION) <= VERSION else None
    event = None if kind is None else _parse_event(kind, record)
    return EventLine(event or UnknownEvent(name), _head(record), record)


def _head(record: Mapping[str, Any]) -> Head:
    return Head(record.get("seq", -1), record.get("attempt", 0), record.get("time", 0.0))


def _numbers(record: Mapping[str, Any], without: frozenset[str]) -> dict[str, float]:
    """Return the numbers of a record by key, finite or not, except those of the keys `without`."""
    return {
        key: number
        for key, value in record.items()
        if key not in without and (number := value if type(value) is float else read_number(value)) is not None
    }


def _parse_event(kind: type[Event], record: Mapping[str, Any]) -> Event | None:
    """Return the event in a record; None if a key is missing or of another type."""
    entries, names = _entries(kind.kind)
    values: dict[str, Any] = {}
    for name, convert, required in entries:
        if convert is None:
            values[name] = _numbers(record, names)
        elif name in record:
            try:
                values[name] = convert(record[name])
            except ValueError:
                return None
        elif required:
            return None
    return kind(**values)


Convert = Callable[[Any], Any]
"""Converts a value of a record to the type of a field; raises ValueError if it is of another type."""


@cache
def _entries(name: str) -> tuple[tuple[tuple[str, Convert | None, bool], ...], frozenset[str]]:
    """Return the fields of a kind of event, and the keys that are not metrics.

    A field is its name, its converter, and whether it is required. The converter of a field of metrics, whose keys are
    beside the other keys, is None.
    """
    kind: Any = EVENTS[name]
    types = get_type_hints(kind)
    entries = tuple(
        (
            entry.name,
            None if entry.metadata.get("flat") else _converter(types[entry.name]),
            entry.default is MISSING and entry.default_factory is MISSING,
        )
        for entry in fields(kind)
    )
    return entries, frozenset((*HEAD, *(entry.name for entry in fields(kind))))


def _converter(kind: Any) -> Convert:
    """Return the converter to a field's type; integers must be counts, floats must be finite."""
    if isinstance(kind, UnionType):  # X | None
        convert = _converter(get_args(kind)[0])
        return lambda value: None if value is None else convert(value)
    if get_origin(kind) is not None:  # Mapping[str, X]
        items = get_args(kind)[1]
        return partial(_convert_mapping, None if items is Any else _converter(items))
    if kind is float:
        return _convert_number
    return partial(_convert_plain, kind)


def _convert_mapping(convert: Convert | None, value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004 (as for every other type)
    return value if convert is None else {key: convert(item) for key, item in value.items()}


def _convert_number(value: Any) -> float:
    number = value if type(value) is float else read_number(value)
    if number is None or not isfinite(number):
        raise ValueError
    return number


def _convert_plain(kind: type, value: Any) -> Any:
    if type(value) is not kind or (kind is int and not is_step(value)):
        raise ValueError
    return value
