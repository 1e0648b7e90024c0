"""What the captioner's model is asked to do: shared among GPUs, and each answer made a record."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prefect import Task
from prefect.futures import PrefectFuture

from deployments.child_runs import ending_children
from flows.phases import Outcome, outcome_of
from lib.runtime.file_lock import LockedFile
from lib.runtime.slots import Slot, lease_dir
from tasks.caching import bind
from tasks.caption import End
from tasks.jobs import CaptionJob
from tasks.result_jobs import JudgeJob

if TYPE_CHECKING:
    from flows.run import Run

ModelJob = TypeVar("ModelJob", CaptionJob, JudgeJob)
_WORTH_A_MODEL = 20  # jobs: for fewer it does not pay to load the model on one more GPU
_POLL_SECONDS = 1.0


def run_batches(
    gpus: Sequence[int],
    jobs: Sequence[ModelJob],
    submit: Callable[[Sequence[ModelJob], int | None], PrefectFuture[dict[str, End]]],
) -> dict[str, End]:
    """A batch for each GPU that is worth it, all at once; how each job ended, by its name.

    Args:
        gpus: those that may be used; empty where the model needs none.
        submit: starts the batch of some of the jobs on one GPU.
    """
    wanted = min(len(gpus), -(-len(jobs) // _WORTH_A_MODEL))
    with lease_gpus(gpus, wanted) as leased, ending_children():
        places: Sequence[int | None] = leased or [None]
        shares = [jobs[index :: len(places)] for index in range(len(places))]
        futures = [submit(share, gpu) for share, gpu in zip(shares, places, strict=True)]
        for future in futures:
            future.wait()
    ends: dict[str, End] = {}
    for share, future in zip(shares, futures, strict=True):
        ends |= future.state.result() if future.state.is_completed() else _lost(share, future)
    return ends


def _lost(jobs: Sequence[ModelJob], future: PrefectFuture[dict[str, End]]) -> dict[str, End]:
    reason = f"the batch of {jobs[0].phase} jobs failed: {outcome_of(future.state).reason}"
    return {job.name: {"error": reason} for job in jobs}


def record_ends(
    run: "Run[Any]", task: Task[..., Any], jobs: Mapping[str, ModelJob], ends: Mapping[str, End]
) -> dict[str, Outcome]:
    """Make each answer a record; what was there already is looked up. The outcomes, by the names of `jobs`."""
    bound = bind(task, run.settings.output_dir)
    futures = {
        name: bound.with_options(refresh_cache=job.name in ends).submit(job, ends.get(job.name))
        for name, job in jobs.items()
    }
    outcomes = {}
    for name, future in futures.items():
        future.wait()
        outcomes[name] = outcome_of(future.state)
        run.watch(jobs[name], outcomes[name])
    return outcomes


@contextmanager
def lease_gpus(gpus: Sequence[int], wanted: int, folder: Path | None = None) -> Iterator[list[int]]:
    """Up to `wanted` of the GPUs, for this run alone; waits until it has one."""
    held: dict[int, LockedFile] = {}
    try:
        while wanted and not held:
            for gpu in gpus:
                if len(held) < wanted and (lease := Slot(gpu).lease(folder or lease_dir())):
                    held[gpu] = lease
            if not held:
                time.sleep(_POLL_SECONDS)
        yield list(held)
    finally:
        for lease in held.values():
            lease.release()
