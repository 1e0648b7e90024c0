"""One process at a time on one GPU (or on a share of the CPU), and the video that it is working on."""

import os
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
from prefect import Task
from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.exceptions import ObjectNotFound
from prefect.futures import PrefectConcurrentFuture
from prefect.states import Crashed
from prefect.task_runners import ProcessPoolTaskRunner

from lib.runtime.file_lock import LockedFile
from lib.runtime.slots import Slot, init_worker
from tasks.jobs import Job

_UNBROKEN_SECONDS = 5.0  # that a pool gets to notice its process's death


@dataclass
class Lane:
    """Takes one job after another; its process, with the models loaded, stays for all of them.

    A lane opens when its GPU is free of other runs. `blame` holds the videos over which its process died since
    it last finished one, and whether the GPU was lost: a lane with blame enough is left aside.
    """

    slot: Slot
    lease_dir: Path
    threads: int  # of the CPU, for its process
    blame: dict[str, bool] = field(default_factory=dict)
    job: Job | None = None
    _runner: Any = None  # the type of a runner names the type of its futures
    _lease: LockedFile | None = None
    _future: PrefectConcurrentFuture[Any] | None = None
    _since: float = 0.0

    @property
    def is_open(self) -> bool:
        return self._runner is not None

    @property
    def is_lost(self) -> bool:
        """Whether its GPU is not to be trusted: it was lost, or two videos in a row have died on it."""
        return any(self.blame.values()) or len(self.blame) > 1

    def open(self) -> bool:
        """Lease the GPU and be ready for jobs; False while another run has it."""
        if self.slot.gpu is not None and self._lease is None:
            self._lease = self.slot.lease(self.lease_dir)
            if self._lease is None:
                return False
        self._runner = make_pool(self.slot.gpu, self.threads).__enter__()
        return True

    def start(self, task: Task[..., Any], job: Job) -> None:
        self.job, self._since = job, time.monotonic()
        self._future = self._runner.submit(task, {"job": job})

    def ended(self) -> bool:
        """Whether the job is over, one way or the other."""
        if self._future is None:
            return False
        if self._process_is_dead():
            self._wait_until_broken()
            return True
        return self._future.wrapped_future.done()

    def result(self) -> State[Any] | None:
        """The ended job's state, None if its process died; the lane is then closed."""
        future, self._future = self._future, None
        if future is not None and future.wrapped_future.done():
            try:
                future.wait()
                return future.state
            except BrokenProcessPool:
                pass
        self.close(kill=True)
        _mark_crashed(future, "the process that ran this task was killed")
        return None

    def seconds(self) -> float:
        """How long the job has been running."""
        return time.monotonic() - self._since

    def stop_job(self, why: str) -> None:
        """End the process over its job."""
        future, self._future = self._future, None
        self.close(kill=True)
        _mark_crashed(future, why)

    def close(self, *, kill: bool = False) -> None:
        """End the process, after its job unless it is to be killed, and leave the GPU to others."""
        runner, self._runner = self._runner, None
        try:
            if runner is not None:
                if kill:
                    for process in _processes(runner):
                        process.kill()
                runner.__exit__(None, None, None)
        finally:
            if self._lease is not None:
                self._lease.release()
                self._lease = None

    def _process_is_dead(self) -> bool:
        return any(process.exitcode is not None for process in _processes(self._runner))

    def _wait_until_broken(self) -> None:
        """Let the pool notice: CPython's watches a process that it started last only from the next job on."""
        end = time.monotonic() + _UNBROKEN_SECONDS
        while self._future and not self._future.wrapped_future.done() and time.monotonic() < end:
            with suppress(RuntimeError):  # it is broken already
                self._runner._executor.submit(int)
            time.sleep(0.02)


def make_pool(gpu: int | None, threads: int) -> ProcessPoolTaskRunner:
    """A pool of the one process that works for a lane."""
    return ProcessPoolTaskRunner(max_workers=1, initializer=init_pool_process, initargs=(gpu, threads))


def init_pool_process(gpu: int | None, threads: int) -> None:
    """Runs once in each pool process: take the GPU, end with the parent, share the cores."""
    init_worker(gpu)
    cv2.setNumThreads(threads)


def threads_each(processes: int) -> int:
    """Cores for each of so many processes."""
    return max(1, (os.cpu_count() or 1) // max(1, processes))


def _processes(runner: Any) -> list[Any]:
    """Of a process pool; the runner hides it."""
    executor = getattr(runner, "_executor", None)
    return list((getattr(executor, "_processes", None) or {}).values())


def _mark_crashed(future: PrefectConcurrentFuture[Any] | None, why: str) -> None:
    """Say so in the UI, where the run would stay Running; one that never started is not known there."""
    if future is None:
        return
    with suppress(ObjectNotFound), get_client(sync_client=True) as client:
        client.read_task_run(future.task_run_id)
        client.set_task_run_state(future.task_run_id, Crashed(message=why), force=True)
