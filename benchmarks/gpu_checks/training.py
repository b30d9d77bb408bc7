"""Check training on the device: the same losses as on the CPU, no waiting in a step, and the loss scaling of fp16."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile, record_function
from worker_loop import open_trainer, restart_epoch, train_epoch, train_here

from alexplore.presets.optimizers import OPTIMIZERS
from alexplore.runs.config import Hardware
from alexplore.training import nonfinite
from alexplore.training.cuda_graphs import CapturedWork
from alexplore.training.loop import Trainer
from gpu_checks.backend import plain_fp32, worker_settings
from gpu_checks.bench import Bench, Check, Outcome, at_most, attempt, expect, skip
from gpu_checks.runs import largest_difference, losses_by_step, small_config, small_network

STEPS = 20
LOSS_LIMIT, KINKS_LIMIT = 5e-5, 1e-3
"""Limits of |device − CPU| / |CPU| for the loss at every step, without and with ReLUs and max pools.

On a CPU, a relative change of the images by 1e-6 changes these losses by 1e-7, and bf16 changes them by 1e-4 to 3e-3.
"""
LEARNING_RATES = {"sgd": 0.05}  # others: 0.001
CAPTURED = (
    ("captured steps, fp32", "fp32", False, 3 * STEPS),
    ("captured steps, fp16", "fp16", True, 3 * STEPS),
    ("captured steps with ReLUs and max pools, fp32", "fp32", True, 8),
)
"""Checks of captured steps: the name, the precision, whether there are ReLUs and max pools, and how many steps."""
CAPTURED_LIMIT = {"fp32": 1e-4, "fp16": 1e-2}
"""Limits of the difference of losses with and without captured steps; cuDNN may sum in another order.

In fp32 there are few steps with ReLUs and max pools: a relative change of the weights by 1e-7 changes the losses of
sixty by 2e-7 or, where a value crosses 0 or another one of its window, by 1e-4 and more.
"""
STEPS_AHEAD = 3
SLEEP_CYCLES = 2_000_000_000  # about a second of a GPU's clock
READS = ("cudaStreamSynchronize", "cudaEventSynchronize", "Memcpy DtoH")
"""Names in a profile of the ways in which a program reads a value from a GPU."""
CALM_STEPS = 5
LARGE_SCALE = 2.0**24


def run_losses(bench: Bench) -> Outcome:
    """Check the losses of 20 steps of each optimizer against the CPU's, in fp32 without TF32."""
    losses: dict[str, dict[str, list[float]]] = {}

    def compared(name: str, optimizer: str, kinks: bool) -> Check:
        runs: list[dict[int, float]] = []
        for place in ("cpu", bench.device):
            config = small_config(
                small_network(kinks=kinks), STEPS, Hardware(device=place),
                optimizer=optimizer, lr=LEARNING_RATES.get(optimizer, 1e-3), weight_decay=0.01,
            )  # fmt: skip
            run = train_here(config, bench.work, f"{name}-{place}-{len(runs)}", torch.device(place))
            runs.append(losses_by_step(run))
        reference, found = runs
        losses[name] = {"cpu": [*reference.values()], bench.device: [*found.values()]}
        change = abs(reference[STEPS] - reference[1]) / reference[1]
        limit = KINKS_LIMIT if kinks else LOSS_LIMIT
        return at_most(name, largest_difference(found, reference), limit, f"the loss changes by {change:.0%}")

    compare: dict[str, Callable[[], Check | Iterator[Check]]] = {
        optimizer: partial(compared, optimizer, optimizer, False) for optimizer in OPTIMIZERS
    }
    compare["relu and max pool"] = partial(compared, "relu and max pool", "adam", True)
    for name, precision, kinks, steps in CAPTURED:
        compare[name] = partial(_captured_equal_others, name, bench, precision, kinks, steps)
    with plain_fp32():
        checks = attempt(compare)
    return Outcome(checks, {"losses": losses})


def _captured_equal_others(name: str, bench: Bench, precision: str, kinks: bool, steps: int) -> Iterator[Check]:
    """Train with steps captured as CUDA graphs, and twice without, with every random setting."""
    device = torch.device(bench.device)
    runs: list[dict[int, float]] = []
    captured, steps = 0, 2 if bench.dry else steps
    for number in range(3):
        config = small_config(
            small_network(kinks=kinks, dropout=True, batch_norm=True), steps, Hardware(device=bench.device),
            optimizer="adam", lr=1e-3, precision=precision, ema_decay=0.9, clip_grad_norm=1.0,
            random_crop=True, crop_padding=2, horizontal_flip=True, color_noise=0.1,
        )  # fmt: skip
        trainer, _ = open_trainer(config, bench.work, f"captured-{precision}-{'kinks-' * kinks}{number}", device)
        if number:
            trainer.captured = CapturedWork(None)
        train_epoch(trainer)
        captured = captured or trainer.captured.kinds
        runs.append(losses_by_step(trainer.run))
    note = f"{captured} kinds of steps captured; between two runs without {largest_difference(*runs[1:]):.1e}"
    yield at_most(name, largest_difference(*runs[:2]), CAPTURED_LIMIT[precision], note)
    if device.type == "cuda":
        yield expect(f"{name}: some are", captured > 0)


def run_waiting(bench: Bench) -> Outcome:
    """Check that no step of the loop waits for the device, in each precision, with every random setting."""
    device = torch.device(bench.device)
    counts: dict[str, Any] = {}

    def checked(precision: str) -> Iterator[Check]:
        config = small_config(
            small_network(kinks=True, dropout=True), 2 if bench.dry else 40, Hardware(device=bench.device), epochs=10,
            optimizer="adam", lr=1e-3, precision=precision,
            random_crop=True, crop_padding=2, horizontal_flip=True, color_noise=0.1,
        )  # fmt: skip
        trainer, _ = open_trainer(config, bench.work, f"waiting-{precision}", device)
        train_epoch(trainer)  # chooses algorithms, allocates, and captures the steps
        if device.type == "cuda":
            yield _never_synchronizes(f"{precision}: synchronisation is an error", trainer)
            yield _runs_ahead(f"{precision}: the host runs ahead", trainer)
        else:
            yield skip(f"{precision}: synchronisation is an error", "needs CUDA")
            yield skip(f"{precision}: the host runs ahead", "needs CUDA")
        counts[precision] = reads_in_steps(trainer, device)
        yield _no_reads(f"{precision}: reads in a profile", counts[precision], device)

    with worker_settings(device):
        checks = attempt({precision: partial(checked, precision) for precision in ("fp32", "bf16", "fp16")})
    return Outcome(checks, {"profile": counts})


def run_scaling(bench: Bench) -> Outcome:
    """Check fp16's loss scaling: an overflow skips the step and halves the scale; then training continues."""
    device = torch.device(bench.device)
    network, hardware = small_network(kinks=True), Hardware(device=bench.device)
    config = small_config(network, 4, hardware, epochs=10, precision="fp16", optimizer="adam", lr=1e-3)
    trainer, _ = open_trainer(config, bench.work, "scaling", device)
    return Outcome(attempt({"scaling": partial(_check_scaling, trainer)}))


@contextmanager
def own_reads(trainer: Trainer, around: Callable[[Callable[[], Any]], Any]) -> Iterator[None]:
    """Make the loop's two reads of the device through `around`: of metrics, and of the layers' figures."""
    take, take_figures = trainer.log.take, trainer.recorder.take_figures
    trainer.log.take = lambda: around(take)  # type: ignore[method-assign]
    trainer.recorder.take_figures = lambda: around(take_figures)  # type: ignore[method-assign]
    try:
        yield
    finally:
        trainer.log.take = take  # type: ignore[method-assign]
        trainer.recorder.take_figures = take_figures  # type: ignore[method-assign]


def _never_synchronizes(name: str, trainer: Trainer) -> Check:
    """Train an epoch in which PyTorch raises at every synchronisation except the loop's own reads."""

    def allowed(take: Callable[[], Any]) -> Any:
        torch.cuda.set_sync_debug_mode("default")
        try:
            return take()
        finally:
            torch.cuda.set_sync_debug_mode("error")

    with own_reads(trainer, allowed):
        torch.cuda.set_sync_debug_mode("error")
        try:
            train_epoch(trainer)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return expect(name, True, f"{trainer.steps_per_epoch} steps")


def _runs_ahead(name: str, trainer: Trainer) -> Check:
    """Make the device sleep, and check whether the host finishes some steps before it wakes."""
    restart_epoch(trainer)
    batches = trainer._batches()
    torch.cuda.synchronize()
    torch.cuda._sleep(SLEEP_CYCLES)  # type: ignore[no-untyped-call]
    awake = torch.cuda.Event()  # type: ignore[no-untyped-call]
    awake.record()
    for step in range(STEPS_AHEAD):
        trainer.step(*next(batches), step)
    ahead = not awake.query()  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    return expect(name, ahead, f"{STEPS_AHEAD} steps while the device sleeps" + ("" if ahead else ": it waited"))


def reads_in_steps(trainer: Trainer, device: torch.device) -> dict[str, int]:
    """Profile an epoch; return how often values were read from the device, by name, and the loop's own reads."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]

    def marked(take: Callable[[], Any]) -> Any:
        with record_function("own read"):
            return take()

    with profile(activities=activities) as recorded, record_function("steps"), own_reads(trainer, marked):
        train_epoch(trainer)
    events = recorded.events()
    (steps,) = (event.time_range for event in events if event.name == "steps" and event.device_type.name == "CPU")
    inside = [event for event in events if steps.start <= event.time_range.start <= steps.end]
    counts = {name: sum(event.name.startswith(name) for event in inside) for name in READS}
    own = sum(event.name == "own read" and event.device_type.name == "CPU" for event in inside)
    return {**counts, "own reads": own, "launches": sum(event.name.startswith("cudaLaunch") for event in inside)}


def _no_reads(name: str, counts: dict[str, int], device: torch.device) -> Check:
    """Check that a profile has only the loop's own reads."""
    if not counts["launches"]:
        return skip(name, "needs CUDA" if device.type == "cpu" else "the profiler recorded nothing of the device")
    reads = max(counts[one] for one in READS)
    return at_most(name, reads, counts["own reads"], ", ".join(f"{key} {count}" for key, count in counts.items()))


def _check_scaling(trainer: Trainer) -> Iterator[Check]:
    trainer.model.train()
    images, labels = next(trainer._batches())
    # Detached: a graph that is kept alive would tie the backward pass to the stream on which it was created.
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    trainer.guard.load({"scale": torch.tensor(LARGE_SCALE), "calm": torch.tensor(0.0)})
    scales, moved, broken = [LARGE_SCALE], [False], [0.0]
    while not moved[-1] and len(scales) < 25:
        row, *_ = trainer.step(images, labels, 0)
        scales.append(float(trainer.guard.state()["scale"]))
        moved.append(any(not torch.equal(before[name], value) for name, value in trainer.model.named_parameters()))
        broken.append(float(row[2]))
    overflows = len(scales) - 2
    halved = all(after == scale / 2 for scale, after in pairwise(scales[:-1]))
    yield expect("gradients overflow at first", overflows > 0, f"at {overflows} scales from 2^24 down")
    yield expect("an overflow leaves the weights and halves the scale", halved, " → ".join(f"{s:g}" for s in scales))
    yield expect("the run goes on", moved[-1] and not any(broken))
    finite = all(bool(value.isfinite().all()) for value in trainer.model.parameters())
    yield expect("weights stay finite", finite)
    steps = {float(slots["step"]) for slots in trainer.optimizer.state.values() if "step" in slots}
    yield expect("Adam counts the steps that were made", steps == {1.0}, f"counted {sorted(steps)}")
    yield _grows_again(trainer, images, labels)


def _grows_again(trainer: Trainer, images: Tensor, labels: Tensor) -> Check:
    """Check that the scale doubles after enough steps without an overflow."""
    scale = float(trainer.guard.state()["scale"]) / 4  # far from overflow
    trainer.guard.load({"scale": torch.tensor(scale), "calm": torch.tensor(float(nonfinite.GROWTH_STEPS - CALM_STEPS))})
    for step in range(1, 1 + CALM_STEPS):
        trainer.step(images, labels, step)
    after = float(trainer.guard.state()["scale"])
    return expect("the scale doubles after calm steps", after == 2 * scale, f"{scale:g} → {after:g}")
