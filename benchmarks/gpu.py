"""Check and measure everything that needs a GPU, in one command: is it correct, and how fast is it?

    python benchmarks/gpu.py [--data DIR] [--only PART]... [--minutes N] [--output DIR] [--dry-run]

Writes `gpu.json` and `gpu.md` and prints the latter. Runs from a checkout, without installing alexplore; see
benchmarks/README.md for what it needs and measures.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checkout import ROOT, use_checkout

use_checkout()

from gpu_checks.bench import FAILED, Bench  # noqa: E402
from gpu_checks.parts import PARTS, DeviceProcess, NoDevice, PartResult, run_parts  # noqa: E402
from gpu_checks.report import to_json, to_markdown  # noqa: E402

MINUTES = 8.0
RESERVE_SECONDS = 10.0  # of the total, for the end
OUTPUT = ROOT / "benchmarks" / "results" / "gpu"
DATA_FOLDERS = (ROOT / "benchmarks" / "data", Path("/usr/share/datasets/fashion-mnist"))
FASHION_MNIST = "train-images-idx3-ubyte"
WRONG_USE = 2


def main(arguments: Sequence[str]) -> int:
    """Run the parts, write and print the results; return 0 if nothing failed."""
    started = time.monotonic()
    options = read_options(arguments)
    if options.dry_run:
        os.environ["OMP_NUM_THREADS"] = "1"
    options.output.mkdir(parents=True, exist_ok=True)
    log = options.output / "console.log"
    log.write_text("")
    results: list[PartResult] = []
    facts = {
        "command": shlex.join(["python", "benchmarks/gpu.py", *arguments]),
        "dry_run": options.dry_run,
        "date": time.strftime("%Y-%m-%d"),
        "commit": options.commit or find_commit(),
        "minutes": options.minutes,
    }
    device = "cpu" if options.dry_run else "cuda"
    with tempfile.TemporaryDirectory(prefix="alexplore-gpu-") as work, DeviceProcess(device, log) as process:
        bench = Bench(device, options.dry_run, options.data, Path(work), deadline=0.0)
        until = started + 60 * options.minutes - RESERVE_SECONDS
        try:
            for result in run_parts([PARTS[name] for name in options.only], bench, until, process):
                results.append(result)
                print(f"{result.part.name}: {result.status}, {result.seconds:.1f} s  {result.error}", file=sys.stderr)
                facts["seconds"] = round(time.monotonic() - started, 1)
                write_results(options.output, results, facts)
        except NoDevice as refusal:
            print(f"error: {refusal}", file=sys.stderr)
            return WRONG_USE
    print(to_markdown(results, facts))
    return int(any(result.status == FAILED for result in results))


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=folder, metavar="DIR", help="the folder of Fashion-MNIST's four files")
    names = ", ".join(PARTS)
    parser.add_argument("--only", action="append", choices=[*PARTS], metavar="PART", help=f"machine and PART: {names}")
    parser.add_argument("--minutes", type=float, default=MINUTES, metavar="N", help="for everything (%(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="DIR", help="where the results are written")
    parser.add_argument("--commit", metavar="TEXT", help="the commit, if git can't tell it")
    parser.add_argument("--dry-run", action="store_true", help="go through everything on the CPU, in miniature")
    options = parser.parse_args(arguments)
    options.only = [*dict.fromkeys(["machine", *options.only])] if options.only else [*PARTS]
    if options.data is None and not options.dry_run:
        options.data = next((place for place in DATA_FOLDERS if any(place.rglob(f"{FASHION_MNIST}*"))), None)
    return options


def folder(text: str) -> Path:
    """Return the path of an existing folder, for argparse."""
    path = Path(text).expanduser().resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is not a folder")
    return path


def find_commit() -> str:
    """Return the commit of the checkout, with a + if files were changed since."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def write_results(output: Path, results: Sequence[PartResult], facts: dict[str, Any]) -> None:
    """Write the results so far, so that a run that is killed leaves those of its finished parts."""
    (output / "gpu.json").write_text(to_json(results, facts), encoding="utf-8")
    (output / "gpu.md").write_text(to_markdown(results, facts), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
