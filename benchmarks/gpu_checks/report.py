"""Write the results as JSON and as Markdown."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from alexplore.runs.lines import finite
from gpu_checks.bench import FAILED, OK, SKIPPED, Check
from gpu_checks.parts import PartResult

FORMAT = 1
SPEED_WORDS = """\
Images a second, the median of several windows in turn. The tutorials' loop is the exported `nn.Sequential` with
PyTorch's settings as they come, on images that are resized and on the GPU already, reading `loss.item()` at each step;
in bf16 and fp16 with autocast. fp32 is computed in TF32, by the tutorials' loop in convolutions alone. The peak is the
large matrix product's. The bare loop is alexplore's kernels over one ready batch in a CUDA graph, and nothing else.
"""


def to_json(results: Sequence[PartResult], facts: Mapping[str, Any]) -> str:
    """Return the text of the JSON file: the facts, and every part with its checks, measurements and seconds."""
    parts = []
    for result in results:
        values = asdict(result)
        part = values.pop("part")
        parts.append({"name": part["name"], "title": part["title"], **values, "values": values["values"] or {}})
    return json.dumps(finite({"format": FORMAT, **facts, "parts": parts}), indent=1, ensure_ascii=False) + "\n"


def to_markdown(results: Sequence[PartResult], facts: Mapping[str, Any]) -> str:
    """Return a section for `docs/results.md`: the machine, the parts, the speeds and the accuracies."""
    by_name = {result.part.name: result for result in results}
    blocks = [
        _heading(by_name, facts),
        _parts_table(results),
        *_speed_table(by_name),
        *_kernels_table(by_name),
        *_accuracy_table(by_name),
        *_times_table(by_name),
        *_failures(results),
    ]
    return "\n".join(blocks)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _heading(by_name: Mapping[str, PartResult], facts: Mapping[str, Any]) -> str:
    machine = _values(by_name, "machine")
    name = machine.get("name", "an unknown machine")
    lines = [f"## On {'a CPU, in miniature: ' if facts['dry_run'] else ''}{name}\n"]
    lines.append(f"    {facts['command']}\n")
    if machine:
        driver = f", driver {machine['driver']}" if machine.get("driver") else ""
        memory = f"{machine['memory_bytes'] / 2**30:.0f} GiB, " if "memory_bytes" in machine else ""
        capability = f"capability {machine['capability']}, " if "capability" in machine else ""
        lines.append(
            f"{memory}{capability}{machine['processors']} processors{driver}, CUDA {machine['cuda']}, "
            f"cuDNN {machine['cudnn']}, torch {machine['torch']}, Python {machine['python']}; "
            f"alexplore at commit {facts['commit']}, {facts['date']}.\n"
        )
        peaks = ", ".join(f"{key} {value / 1e12:.4g}" for key, value in machine["peak_flops"].items())
        lines.append(f"A large matrix product, in TFLOP/s: {peaks}.\n")
    return "\n".join(lines)


def _parts_table(results: Sequence[PartResult]) -> str:
    rows = [[one.part.title, one.status, _summary(one), f"{one.seconds:.1f} s"] for one in results]
    return table(["part", "result", "", "took"], rows)


def _summary(result: PartResult) -> str:
    """Return how many checks a part made, and which number is nearest to its limit."""
    if result.error:
        return _cell(result.error)
    made = [check for check in result.checks if check.status == OK]
    words = [f"{len(made)} of {len(result.checks)} checks"]
    skipped = sorted({check.note for check in result.checks if check.status == SKIPPED})
    words += [f"skipped: {'; '.join(skipped)}"] if skipped else []
    nearest = max((c for c in result.checks if c.limit), key=_nearness, default=None)
    if nearest is not None:
        words.append(f"largest {nearest.value:.1e} of {nearest.limit:g} ({nearest.name})")
    return _cell("; ".join(words))


def _nearness(check: Check) -> float:
    value = check.value if check.value is not None else 0.0
    return math.inf if math.isnan(value) else value / (check.limit or 1.0)


def _speed_table(by_name: Mapping[str, PartResult]) -> Iterator[str]:
    rows = _values(by_name, "speed").get("rows", [])
    if not rows:
        return
    yield SPEED_WORDS
    head = ["preset", "batch", "precision", "alexplore", "of the peak", "of the bare loop", "tutorials' loop", "ratio"]
    yield table(
        head,
        [
            [
                row["preset"],
                str(row["batch"]),
                row["precision"],
                f"{row['images_per_second']['alexplore']:,.0f}",
                f"{row['share_of_peak']:.0%}" if row["share_of_peak"] is not None else "–",
                f"{row['of_bare']:.0%}",
                f"{row['images_per_second']['tutorial']:,.0f}",
                f"{row['ratio']:.2f}",
            ]
            for row in rows
        ],
    )


def _accuracy_table(by_name: Mapping[str, PartResult]) -> Iterator[str]:
    values = _values(by_name, "accuracy")
    epochs = values.get("epochs", [])
    if not epochs:
        return
    precision = values["events"].get("start", {}).get("precision", "?")
    yield f"`alexplore {' '.join(values['arguments'])}`, in {precision}:\n"
    tutorial = [f"{one:.3f}" for one in values["tutorial"][: len(epochs)]]
    yield table(
        ["epoch", *(str(one["epoch"]) for one in epochs)],
        [
            ["seconds", *(f"{one['seconds']:.1f}" for one in epochs)],
            ["images/s while training", *(f"{one['images_per_second']:,.0f}" for one in epochs)],
            ["train accuracy", *(f"{one['train_accuracy']:.4f}" for one in epochs)],
            ["test accuracy", *(f"{one['test_accuracy']:.4f}" for one in epochs)],
            ["the tutorial's log", *tutorial],
        ],
    )


def _kernels_table(by_name: Mapping[str, PartResult]) -> Iterator[str]:
    speedups = _values(by_name, "kernels").get("speedups", {})
    if not speedups:
        return
    kernels = list(dict.fromkeys(kernel for gains in speedups.values() for kernel in gains))
    yield "How many times faster the bare loop is with a kernel than without it, at batches of 128:\n"
    yield table(
        ["kernel", *speedups],
        [[f"`{kernel}`", *(f"{gains.get(kernel, 1):.2f}" for gains in speedups.values())] for kernel in kernels],
    )


def _times_table(by_name: Mapping[str, PartResult]) -> Iterator[str]:
    values = _values(by_name, "times")
    targets = values.get("targets", {})
    if not targets:
        return
    yield f"`{values['preset']}`, from the start of the process to the result of the last evaluation, means:\n"
    yield table(
        ["target", "epochs", "test accuracy", "time", "seeds"],
        [
            [
                target,
                str(one["epochs"]),
                f"{statistics.mean(one['accuracies']):.4f}",
                f"{statistics.mean(one['seconds']):.1f} s",
                str(len(one["seconds"])),
            ]
            for target, one in targets.items()
        ],
    )


def _failures(results: Sequence[PartResult]) -> Iterator[str]:
    """Yield the failed checks, one a line."""
    lines = [
        f"- {result.part.name}, {check.name}: {_value(check)}{_cell(check.note)}"
        for result in results
        for check in result.checks
        if check.status == FAILED
    ]
    if lines:
        yield "Failed:\n\n" + "\n".join(lines) + "\n"


def _value(check: Check) -> str:
    return "" if check.value is None or check.limit is None else f"{check.value:.2e} of at most {check.limit:g}; "


def _cell(text: str) -> str:
    """Return the first line of a text, escaped for a cell of a table."""
    return text.split("\n", maxsplit=1)[0].replace("|", "\\|")


def _values(by_name: Mapping[str, PartResult], name: str) -> Mapping[str, Any]:
    return (by_name[name].values or {}) if name in by_name else {}
