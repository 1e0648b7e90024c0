"""Runs one phase over many videos, a process a GPU; one video's failure, even its process's death, is its own.

Every lane has a pool of its own, so a process that is killed takes no other with it. The video that it was working on
gets a second try, elsewhere if there is an elsewhere; a GPU on which videos die is left aside as long as others work.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect import Task, flow
from prefect.client.schemas import State
from prefect.futures import PrefectConcurrentFuture, PrefectFuture
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.lanes import Lane, threads_each
from lib.errors import InputError
from lib.notes import check_notes
from lib.records import PhaseRecord, Status
from lib.removers.gpu import GpuLostError
from lib.runtime.slots import Slot, lease_dir
from tasks.jobs import Job
from tasks.record_store import find_record

_MAX_DEATHS = 2  # of the processes that work on a video
_MAX_LOSSES = 3  # videos in a row that every GPU was lost over; what kills processes otherwise may be a video's size
_POLL_SECONDS = 0.1
_THREADS = 4  # that look up what is there already
_phase_work: ContextVar[Callable[[], State[Any]]] = ContextVar("phase_work")


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
    """Where and how phases run."""

    slots: tuple[Slot, ...]
    watch: Watcher
    most: int | None = None  # processes at a time; None: as many as there are slots
    strict_inputs: bool = False  # a note about a video's files is a failure, also of what is there already
    leases: Path = field(default_factory=lease_dir)
    in_threads: bool = False  # of the run's own process, for what takes a moment

    def run(
        self, name: str, task: Task[..., Any], jobs: Sequence[Job], timeout: float | None = None
    ) -> dict[str, Outcome]:
        """Run the bound task for every job; an outcome for each video name.

        Args:
            jobs: those that take longest first, so that all processes end together.
            timeout: seconds that one video may take, its retries included; None: any time.
        """
        phase = _Phase(name, task, self, timeout)
        token = _phase_work.set(lambda: phase.run(jobs))
        try:
            named = phase_run.with_options(name=name, flow_run_name=f"{name} x{len(jobs)}")
            state = named([job.video.name for job in jobs], return_state=True)
        finally:
            _phase_work.reset(token)
        for job in jobs:
            if job.video.name not in phase.outcomes:
                phase.note(job, Outcome("failed", reason=f"the {name} phase failed: {state.message}"))
        return phase.outcomes


@dataclass
class _Phase:
    """The state of one phase."""

    name: str
    task: Task[..., Any]
    runner: PhaseRunner
    timeout: float | None
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    waiting: deque[Job] = field(default_factory=deque)
    lanes: list[Lane] = field(default_factory=list)
    died_on: dict[str, list[Slot]] = field(default_factory=dict)  # by video, for those whose process died
    losses: int = 0  # videos that failed with their GPU, since one got through

    def run(self, jobs: Sequence[Job]) -> State[Any]:
        """All jobs: what is there already in threads, the rest in the lanes."""
        lookups = {self.task.submit(job): job for job in jobs if self.runner.in_threads or self._is_there(job)}
        there = {job.video.name for job in lookups.values()}
        self.waiting.extend(job for job in jobs if job.video.name not in there)
        most = min(self.runner.most or len(self.runner.slots), len(self.runner.slots), len(self.waiting))
        self.lanes = [Lane(slot, self.runner.leases, threads_each(most)) for slot in self.runner.slots]
        try:
            self._work(lookups, most)
        except BaseException:
            self._close_all(kill=True)
            raise
        self._close_all(kill=False)
        failed = [job.video.name for job in jobs if not self.outcomes[job.video.name].succeeded]
        if failed:
            return Failed(message=f"{len(failed)} of {len(jobs)} videos failed: {', '.join(failed)}")
        return Completed(message=f"{len(jobs)} videos")

    def _is_there(self, job: Job) -> bool:
        return not self.task.refresh_cache and find_record(job)[0] is not None

    def _work(self, lookups: dict[PrefectFuture[Any], Job], most: int) -> None:
        told = False
        while lookups or self.waiting or self._busy():
            for future in [future for future in lookups if _has_ended(future)]:
                future.wait()
                self.note(lookups.pop(future), outcome_of(future.state))
            for lane in self._busy():
                self._look_at(lane)
            self._hand_out(most)
            if self.waiting and not told and not self._busy():
                told = True
                get_run_logger().warning("%s waits: every GPU is taken by another run", self.name)
            time.sleep(_POLL_SECONDS)

    def _busy(self) -> list[Lane]:
        return [lane for lane in self.lanes if lane.job is not None]

    def _hand_out(self, most: int) -> None:
        """Give waiting jobs to idle lanes; open lanes come first, their models are loaded."""
        if not self.waiting:
            self._close_idle()
            return
        usable = [lane for lane in self.lanes if not lane.is_lost] or self.lanes
        for lane in sorted(usable, key=lambda lane: not lane.is_open):
            if lane.job is not None or (not lane.is_open and sum(other.is_open for other in self.lanes) >= most):
                continue
            job = self._next_job(lane, usable)
            if job is not None and (lane.is_open or lane.open()):
                self.waiting.remove(job)
                lane.start(self.task, job)

    def _next_job(self, lane: Lane, usable: Sequence[Lane]) -> Job | None:
        """The first one that has not died here already, unless there is no other place for it."""
        for job in self.waiting:
            died_on = self.died_on.get(job.video.name, [])
            if lane.slot not in died_on or all(other.slot in died_on for other in usable):
                return job
        return None

    def _look_at(self, lane: Lane) -> None:
        """Note how a lane's job ended, if it did."""
        job = lane.job
        if job is None:
            return
        if lane.ended():
            lane.job, state = None, lane.result()
            error = None if state is None else _gpu_loss(state)
            if state is None or error:
                self._note_death(lane, job, error)
            else:
                lane.blame.clear()
                self.losses = 0
                self.note(job, outcome_of(state))
        elif self.timeout is not None and lane.seconds() > self.timeout:
            reason = f"{self.name} took longer than {self.timeout:g} s and was stopped"
            lane.job = None
            lane.stop_job(reason)
            self.note(job, Outcome("failed", reason=reason))

    def _note_death(self, lane: Lane, job: Job, error: GpuLostError | None) -> None:
        """A process is no more, or of no more use: its video runs again, or has used up its lives."""
        name = job.video.name
        lane.close(kill=True)
        lane.blame[name] = error is not None
        slots = self.died_on.setdefault(name, [])
        slots.append(lane.slot)
        why = str(error) if error else "its process was killed"
        get_run_logger().warning("%s of %s on %s: %s", self.name, name, lane.slot, why)
        if len(slots) < _MAX_DEATHS:
            self.waiting.appendleft(job)
        else:
            reason = why if error else f"the process that worked on it was killed {_MAX_DEATHS} times (out of memory?)"
            self.note(job, Outcome("failed", reason=reason))
            self._absolve(name, slots)
            self.losses += error is not None
            if self.losses >= _MAX_LOSSES:
                self._give_up(why)

    def _absolve(self, name: str, slots: Sequence[Slot]) -> None:
        """A video that dies on one GPU and on another is to blame itself."""
        if len({slot.gpu for slot in slots}) > 1:
            for lane in self.lanes:
                lane.blame.pop(name, None)

    def _give_up(self, why: str) -> None:
        reason = f"not tried, {self.name} failed on {_MAX_LOSSES} videos in a row: {why}"
        while self.waiting:
            self.note(self.waiting.popleft(), Outcome("failed", reason=reason))

    def note(self, job: Job, outcome: Outcome) -> None:
        """Say how a job ended."""
        record = outcome.record
        if self.runner.strict_inputs and outcome.succeeded and record:
            try:
                check_notes(job.video.video_path, record.notes, strict=True)
            except InputError as error:
                outcome = Outcome("failed", reason=str(error))
        self.outcomes[job.video.name] = outcome
        self.runner.watch(job, outcome)

    def _close_idle(self) -> None:
        """Leave GPUs that nothing waits for to other runs."""
        for lane in self.lanes:
            if lane.is_open and lane.job is None:
                lane.close()

    def _close_all(self, *, kill: bool) -> None:
        for lane in self.lanes:
            lane.close(kill=kill)


_threads: Any = ThreadPoolTaskRunner(_THREADS)  # the type of a runner names the type of its futures


@flow(persist_result=False, task_runner=_threads)
def phase_run(videos: list[str]) -> State[Any]:  # noqa: ARG001 (shown in the UI)
    """The subflow of one phase."""
    return _do_phase_work()


def _do_phase_work() -> State[Any]:
    """Outside the flow's own function: that travels to the pool's processes with everything it refers to."""
    return _phase_work.get()()


def _has_ended(future: PrefectFuture[Any]) -> bool:
    return isinstance(future, PrefectConcurrentFuture) and future.wrapped_future.done()


def outcome_of(state: State[Any]) -> Outcome:
    """A final task state as an outcome."""
    if state.is_completed():
        return Outcome("cached" if state.name == "Cached" else "done", state.result())
    error = state.result(raise_on_failure=False)
    reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return Outcome("failed", reason=reason or state.message or state.name or "unknown")


def _gpu_loss(state: State[Any]) -> GpuLostError | None:
    if state.is_completed():
        return None
    error = state.result(raise_on_failure=False)
    return error if isinstance(error, GpuLostError) else None
