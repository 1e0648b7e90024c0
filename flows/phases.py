"""Runs one phase over many videos in a pool of processes; one video's failure, even its process's death, is its own.

A killed process breaks the whole pool. Its mark on disk tells which video it was working on: that one's death is
counted, and everything unfinished goes into a new pool.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
from prefect import Task, flow
from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.futures import PrefectConcurrentFuture, PrefectFuture
from prefect.logging import get_run_logger
from prefect.states import Completed, Crashed, Failed
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

from lib.records import PhaseRecord, Status
from lib.runtime.running import forget_running, running_names
from lib.runtime.slots import init_worker, notice_dead_processes
from tasks.jobs import Job
from tasks.record_store import find_record
from tasks.removal import running_dir

_MAX_DEATHS = 2
_POLL_SECONDS = 0.2
_pool_work: ContextVar[Callable[[], State[Any]]] = ContextVar("pool_work")


@dataclass(frozen=True)
class Outcome:
    """How one phase of one video ended."""

    status: Status
    record: PhaseRecord | None = None
    reason: str = ""

    @property
    def succeeded(self) -> bool:
        return self.status in ("done", "cached")


Watcher = Callable[[Job, Outcome], None]  # told of each video as soon as it is through


@dataclass(frozen=True)
class PhaseRunner:
    """How phases run: how many videos at a time, and where processes say what they are working on."""

    state_dir: Path
    workers: int
    watch: Watcher

    def run(self, name: str, task: Task[..., Any], jobs: Sequence[Job]) -> dict[str, Outcome]:
        """Run the bound task for every job, in as many pools as it takes; an outcome for each video name."""
        phase = _Phase(name, self)
        waiting = list(jobs)
        while waiting:
            waiting = phase.run_pool(task, waiting)
        return phase.outcomes


@dataclass
class _Phase:
    """The state of one phase while pools come and go."""

    name: str
    runner: PhaseRunner
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    deaths: Counter[str] = field(default_factory=Counter)
    fruitless_pools: int = 0

    def run_pool(self, task: Task[..., Any], jobs: Sequence[Job]) -> list[Job]:
        """One pool from start to end; returns the jobs that have to run again because a process was killed."""
        lost: list[Job] = []
        misses = sum(bool(task.refresh_cache) or find_record(job)[0] is None for job in jobs)
        # The type of a runner names the type of its futures, which with_options does not allow for.
        pool: Any = self._process_pool(min(self.runner.workers, misses)) if misses else ThreadPoolTaskRunner(4)

        for name in running_names(self._marks):
            forget_running(self._marks, name)
        token = _pool_work.set(lambda: self._run_jobs(task, jobs, lost))
        try:
            named = pool_run.with_options(name=self.name, flow_run_name=f"{self.name} x{len(jobs)}", task_runner=pool)
            state = named([job.video.name for job in jobs], return_state=True)
        finally:
            _pool_work.reset(token)
        for job in jobs:
            if job.video.name not in self.outcomes and job not in lost:
                self._note(job, Outcome("failed", reason=f"the {self.name} pool failed: {state.message}"))
        return self._after_deaths(lost, progressed=len(lost) < len(jobs))

    def _run_jobs(self, task: Task[..., Any], jobs: Sequence[Job], lost: list[Job]) -> State[Any]:
        pending = {task.submit(job): job for job in jobs}
        while pending:
            ended = [future for future in pending if _has_ended(future)]
            for future in ended:
                job = pending.pop(future)
                if not self._settle(future, job):
                    lost.append(job)
            if not ended:
                time.sleep(_POLL_SECONDS)
                self._notice_deaths()
        failed = [job.video.name for job in jobs if (end := self.outcomes.get(job.video.name)) and not end.succeeded]
        if lost or failed:
            return Failed(message=_describe(failed, [job.video.name for job in lost], len(jobs)))
        return Completed(message=f"{len(jobs)} videos")

    @property
    def _marks(self) -> Path:
        return running_dir(self.runner.state_dir, self.name)

    def _process_pool(self, workers: int) -> ProcessPoolTaskRunner:
        threads = max(1, (os.cpu_count() or 1) // workers)
        return ProcessPoolTaskRunner(
            max_workers=workers,
            initializer=init_pool_process,
            initargs=(self.runner.state_dir / "slots", workers, threads),
        )

    def _settle(self, future: PrefectFuture[Any], job: Job) -> bool:
        """Note how the job ended; False if its process is gone."""
        try:
            future.wait()
        except BrokenProcessPool:
            _mark_crashed(future)
            return False
        self._note(job, outcome_of(future.state))
        return True

    def _notice_deaths(self) -> None:
        """Otherwise the pool may never see the death of the process that it started last."""
        context = FlowRunContext.get()
        if context and isinstance(context.task_runner, ProcessPoolTaskRunner) and running_names(self._marks):
            executor = context.task_runner._executor  # the runner hides its pool
            if executor is not None:
                notice_dead_processes(executor)

    def _note(self, job: Job, outcome: Outcome) -> None:
        self.outcomes[job.video.name] = outcome
        self.runner.watch(job, outcome)

    def _after_deaths(self, lost: Sequence[Job], progressed: bool) -> list[Job]:
        """Count the deaths; a video that has used up its lives fails, the other lost ones run again."""
        if not lost:
            return []
        killed = running_names(self._marks)
        self.deaths.update(killed)
        self.fruitless_pools = 0 if killed or progressed else self.fruitless_pools + 1
        get_run_logger().warning("%s: a process was killed while it worked on %s", self.name, ", ".join(killed) or "?")
        if self.fruitless_pools >= _MAX_DEATHS:
            return self._give_up(lost, f"{_MAX_DEATHS} pools died before they began to work; see the server's log")
        hopeless = [job for job in lost if self.deaths[job.video.name] >= _MAX_DEATHS]
        self._give_up(hopeless, f"the process that worked on it was killed {_MAX_DEATHS} times (out of memory?)")
        return [job for job in lost if job not in hopeless]

    def _give_up(self, jobs: Sequence[Job], reason: str) -> list[Job]:
        for job in jobs:
            self._note(job, Outcome("failed", reason=reason))
        return []


@flow(persist_result=False)
def pool_run(videos: list[str]) -> State[Any]:  # noqa: ARG001 (shown in the UI)
    """The subflow of one pool."""
    return _do_pool_work()


def _do_pool_work() -> State[Any]:
    """Outside the flow's own function: that travels to the pool's processes with everything it refers to."""
    return _pool_work.get()()


def init_pool_process(slot_dir: Path, workers: int, threads: int) -> None:
    """Runs once in each pool process: take a slot, end with the parent, share the cores."""
    init_worker(workers, slot_dir)
    cv2.setNumThreads(threads)


def outcome_of(state: State[Any]) -> Outcome:
    """A final task state as an outcome."""
    if state.is_completed():
        return Outcome("cached" if state.name == "Cached" else "done", state.result())
    error = state.result(raise_on_failure=False)
    reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return Outcome("failed", reason=reason or state.message or state.name or "unknown")


def _has_ended(future: PrefectFuture[Any]) -> bool:
    return isinstance(future, PrefectConcurrentFuture) and future.wrapped_future.done()


def _mark_crashed(future: PrefectFuture[Any]) -> None:
    """Say so in the UI, where the run would stay Running; one that never started is not known there."""
    crashed = Crashed(message="the process that ran this task was killed")
    with suppress(ObjectNotFound), get_client(sync_client=True) as client:
        client.read_task_run(future.task_run_id)
        client.set_task_run_state(future.task_run_id, crashed, force=True)


def _describe(failed: Sequence[str], lost: Sequence[str], count: int) -> str:
    parts = [f"{len(failed)} of {count} videos failed: {', '.join(failed)}"] if failed else []
    return "; ".join(parts + ([f"lost with a killed process: {', '.join(lost)}"] if lost else []))
