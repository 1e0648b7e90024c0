"""Result caching keyed on content: a hit counts only while the files that it vouches for are still there.

Two processes that want the same key wait for each other on a file lock, which the kernel frees however its holder dies.
"""

import asyncio
import time
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from prefect import Task
from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.locking.protocol import LockManager
from prefect.logging import get_run_logger
from prefect.transactions import BaseTransaction, IsolationLevel

from lib.errors import InputError
from lib.removers.gpu import GpuLostError
from lib.runtime.file_lock import LockedFile, try_lock
from tasks.jobs import Job
from tasks.record_store import find_record, results_dir

AnyTask = TypeVar("AnyTask", bound=Task[..., Any])
_Result = TypeVar("_Result")
_POLL_SECONDS = 0.1


@dataclass
class JobCache(CachePolicy):
    """The key is the job's own; a stale record is dropped before Prefect can serve it."""

    def compute_key(
        self,
        task_ctx: TaskRunContext,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],  # noqa: ARG002 (Prefect's signature)
        **kwargs: Any,  # noqa: ARG002
    ) -> str:
        job: Job = inputs["job"]
        record, why = find_record(job)
        if record is None:
            self._drop_stale(task_ctx, job, why)
        return job.cache_key

    def _drop_stale(self, task_ctx: TaskRunContext, job: Job, why: str) -> None:
        path = results_dir(job.output_dir) / job.cache_key
        if not path.exists():
            return
        path.unlink()
        # The store also keeps a copy in memory, under the resolved path.
        task_ctx.result_store.cache.clear()
        get_run_logger().warning("%s of %s runs again: %s", job.phase, job.video.name, why)


def bind(task: AnyTask, output_dir: Path, *, refresh: bool = False) -> AnyTask:
    """The task with its results kept, locked and looked up below `output_dir`; `refresh` ignores what is there."""
    results = results_dir(output_dir)
    results.mkdir(parents=True, exist_ok=True, mode=0o700)
    policy = JobCache().configure(
        isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=FileLockManager(results / "locks")
    )
    return task.with_options(cache_policy=policy, result_storage=results, refresh_cache=refresh)  # type: ignore[return-value]


def run_nested(task: Task[..., _Result], *args: Any) -> _Result:
    """Run a bound task inside another one, with a record and a lock that end with it.

    As a child of the caller's transaction its record would wait for the caller's end, and be lost with it.
    """
    context = copy_context()
    context.run(BaseTransaction.__var__.set, None)  # type: ignore[arg-type]
    return context.run(task, *args)


def worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    """Bad input stays bad, and a lost GPU lost to this process: only other failures are tried again."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, (InputError, GpuLostError))


class FileLockManager(LockManager):
    """Prefect's lock manager on flock(2): one file a key."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._held: dict[str, tuple[str, LockedFile]] = {}

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        return type(self), (self.directory,)  # locks stay with the process that holds them

    def __deepcopy__(self, memo: dict[int, Any]) -> "FileLockManager":
        return FileLockManager(self.directory)

    def _try(self, key: str) -> LockedFile | None:
        self.directory.mkdir(parents=True, exist_ok=True)
        return try_lock(self.directory / f"{key}.lock")

    def acquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,  # noqa: ARG002 (the kernel frees it with the process)
    ) -> bool:
        if self.is_lock_holder(key, holder):
            return True
        end = None if acquire_timeout is None else time.monotonic() + acquire_timeout
        while True:
            lock = None if key in self._held else self._try(key)
            if lock:
                self._held[key] = (holder, lock)
                return True
            if end is not None and time.monotonic() > end:
                return False
            time.sleep(_POLL_SECONDS)

    async def aacquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        return await asyncio.to_thread(self.acquire_lock, key, holder, acquire_timeout, hold_timeout)

    def release_lock(self, key: str, holder: str) -> None:
        if not self.is_lock_holder(key, holder):
            raise ValueError(f"{holder} does not hold the lock of {key}")
        self._held.pop(key)[1].release()

    def is_locked(self, key: str) -> bool:
        if key in self._held:
            return True
        lock = self._try(key)
        if lock:
            lock.release()
        return lock is None

    def is_lock_holder(self, key: str, holder: str) -> bool:
        return key in self._held and self._held[key][0] == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while self.is_locked(key):
            if end is not None and time.monotonic() > end:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        return await asyncio.to_thread(self.wait_for_lock, key, timeout)
