"""Run all benchmarks of this machine's processor, or some, and write their results to one JSON file.

    python -m benchmarks [NAME]... [--output FILE] [--quick] [--list]

Each runs in its own process, one after the other. The file has the machine, its peak before and after each benchmark,
and for every result the median, the spread, and all turns, with the reasons why some were discarded.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: the script NAME.py in this folder."""

    doc: str
    minutes: float
    quick: Sequence[str]
    """Arguments for a quick run, which only shows that it works."""

    arguments: Sequence[str] = ()


BENCHMARKS: Mapping[str, Benchmark] = {
    "shapes": Benchmark("`alexplore shapes` beside torchinfo's summary", 2, ["1"]),
    "edit": Benchmark("every number after an edit, beside PyTorch's meta device", 1, ["1"]),
    "app": Benchmark("the app's start beside an empty Textual app, and its keys", 1, ["1"]),
    "input": Benchmark("the input path alone, beside a DataLoader", 2, ["1"]),
    "throughput": Benchmark(
        "training beside the tutorials' loop; share of the peak", 18, ["torchvision", "costs", "--turns", "1"]
    ),
    "ranks": Benchmark("two ranks beside one, and towers", 16, ["fmnist-28", "--turns", "1", "--seconds", "2"]),
    "folders": Benchmark("training on an image folder beside images in memory", 4, ["--turns", "1", "--seconds", "2"]),
    "time_to_accuracy": Benchmark(
        "time to 90, 92 and 94 % test accuracy on Fashion-MNIST",
        67,
        ["--targets", "0.9", "--seeds", "1", "--limit-train", "2560"],
    ),
    "kernels": Benchmark("each kernel's gain for each class of processor", 5, ["--kernel", "lrn", "--turns", "1"]),
    "inside": Benchmark("training with and without recording inside", 1, ["--rounds", "1", "--steps", "4"]),
    "start": Benchmark("from the start of a run to its first metric", 5, ["1"]),
    "listing": Benchmark("listing an image folder as large as ImageNet", 1, ["10000"]),
    "scale": Benchmark("a run of a million lines, and a thousand runs", 1, ["10000", "10"]),
}
"""The benchmarks, in the order in which they run. `activations.py`, `decoding.py` and `gpu.py` are not among them."""


def machine() -> dict[str, Any]:
    """Return facts that the results depend on: the processor, its class, and versions."""
    import torch
    from turns import peak

    from alexplore.training.kernels.processor import processor_class
    from alexplore.training.kernels.table import kernels_of

    processor = processor_class("cpu")
    return {
        "processor": _processor_name(),
        "class": processor,
        "kernels": sorted(kernels_of(processor)),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": sys.version.split()[0],
        "load": os.getloadavg()[0],
        "peak_flops": {precision: peak(precision) for precision in ("fp32", "bf16")},
    }


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        import platform

        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def run(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Run a benchmark, and return its results, exit code, time, load and peaks."""
    before, started = machine(), time.time()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results.jsonl")
        environment = {**os.environ, "ALEXPLORE_BENCHMARK_RESULTS": str(results)}
        command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
        code = subprocess.run(command, env=environment, check=False).returncode
        lines = results.read_text().splitlines() if results.exists() else []
    return {
        "exit_code": code,
        "seconds": round(time.time() - started, 1),
        "load": [before["load"], os.getloadavg()[0]],
        "peak_flops": [before["peak_flops"], machine()["peak_flops"]],
        "results": [json.loads(line) for line in lines],
    }


def main() -> int:
    """Run the requested benchmarks; return 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; all if left out")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "benchmarks.json")
    parser.add_argument("--quick", action="store_true", help="go through it in miniature: the figures mean nothing")
    parser.add_argument("--list", action="store_true", help="list the benchmarks and their minutes")
    # Options of a benchmark follow its name; the benchmark parses them.
    options, rest = parser.parse_known_args()
    if unknown := set(options.names) - BENCHMARKS.keys() if not rest else set():
        parser.error(f"{', '.join(sorted(unknown))}: allowed: {', '.join(BENCHMARKS)}")
    if options.list:
        for name, benchmark in BENCHMARKS.items():
            print(f"{name:16} {benchmark.minutes:4.0f} min  {benchmark.doc}")
        return 0
    names = [name for name in options.names if name in BENCHMARKS] or list(BENCHMARKS)
    if rest and len(names) > 1:
        parser.error(f"{rest[0]}: options of a benchmark are allowed only with a single benchmark")
    own = [*[name for name in options.names if name not in BENCHMARKS], *rest]
    found: dict[str, Any] = {"machine": machine(), "quick": options.quick, "benchmarks": {}}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        print(f"\n{name}: {BENCHMARKS[name].doc}", flush=True)
        arguments = [*(BENCHMARKS[name].quick if options.quick else BENCHMARKS[name].arguments), *own]
        found["benchmarks"][name] = run(name, arguments)
        options.output.write_text(json.dumps(found, indent=1) + "\n")  # after each, in case one is interrupted
    failed = [name for name in names if found["benchmarks"][name]["exit_code"]]
    print(f"\n{options.output}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
