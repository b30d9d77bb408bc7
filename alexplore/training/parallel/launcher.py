"""Start ranks on this machine with PyTorch's elastic launcher, as torchrun does."""

from __future__ import annotations

import logging
import os
import sys
import tempfile

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from alexplore.core.cpu_count import processors
from alexplore.runs.directory import RunDirectory
from alexplore.training.errors import RankError


def launch_ranks(run: RunDirectory, count: int) -> None:
    """Start `count` ranks of a run's worker and wait until they end. It must be called in the main thread.

    Raises:
        RankError: one failed; the others were ended.
    """
    threads = max(1, processors() // count)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the RankError says what failed
    with tempfile.TemporaryDirectory(prefix="alexplore-") as logs:  # the launcher never removes its own
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=run.name,
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            max_restarts=0,
            signals_to_handle="SIGQUIT",  # the worker itself asks for a stop, in the run's control folder
            logs_specs=DefaultLogsSpecs(log_dir=logs),
        )
        _launch(config, run)


def _launch(config: LaunchConfig, run: RunDirectory) -> None:
    try:
        elastic_launch(config, sys.executable)("-P", "-m", "alexplore.training.worker", str(run.path))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        printed = [line for line in run.console_tail(200) if line.startswith(f"error: rank {rank}: ")]
        ended = f"rank {rank} ended with {_ending(failure.exitcode)}"
        raise RankError(printed[-1].removeprefix("error: ") if printed else ended) from None


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
