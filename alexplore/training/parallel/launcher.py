"""Starting ranks on this machine through PyTorch's elastic launcher, as torchrun does."""

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
    """Run `count` ranks of the worker to their end; main thread only.

    Raises:
        RankError: one failed; the others were ended.
    """
    threads = max(1, processors() // count)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # what failed is said below
    with tempfile.TemporaryDirectory(prefix="alexplore-") as logs:  # left alone, the launcher's own is never removed
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=run.name,
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            max_restarts=0,
            signals_to_handle="SIGQUIT",  # the worker asks for a stop in the run's control folder
            logs_specs=DefaultLogsSpecs(log_dir=logs),
        )
        _launch(config, run)


def _launch(config: LaunchConfig, run: RunDirectory) -> None:
    try:
        elastic_launch(config, sys.executable)("-P", "-m", "alexplore.training.worker", str(run.path))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        said = [line for line in run.console_tail(200) if line.startswith(f"error: rank {rank}: ")]
        how = said[-1].removeprefix("error: ") if said else f"rank {rank} ended with {_ending(failure.exitcode)}"
        raise RankError(how) from None


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
