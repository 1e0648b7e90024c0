"""What every run over a batch of videos does: read the inputs, run phases, note outcomes, tell the end."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from prefect.client.schemas import State
from prefect.runtime import flow_run

from flows.ending import end_run
from flows.inputs import Fingerprints, adopted_key, find_videos, fingerprint_inputs, pixel_count
from flows.phases import Outcome, PhaseRunner
from flows.removal_batch import RemovalBatch
from flows.report import summarise
from flows.run_progress import RunProgress
from flows.slots import slots_for
from lib.errors import InputError, attempt
from lib.runtime.slots import Slot
from lib.video.datasets import Video
from tasks.caching import bind
from tasks.jobs import Job, RemovalJob
from tasks.record_store import find_record, make_output_dir

_GROWING_PAUSES = 8
AnyBatch = TypeVar("AnyBatch", bound=RemovalBatch[Any])
AnyJob = TypeVar("AnyJob", bound=Job)


class Run(Generic[AnyBatch]):
    """One run of one flow over a batch."""

    def __init__(self, flow_name: str, batch: AnyBatch) -> None:
        self.flow_name, self.batch, self.settings = flow_name, batch, batch.settings
        self.started = time.monotonic()
        self.progress = RunProgress()
        execution = self.settings.execution
        self.slots = slots_for(execution, batch.remover)
        strict = self.settings.input_rules.strict_inputs
        self.runner = PhaseRunner(self.slots, self.watch, most=execution.max_workers, strict_inputs=strict)
        self.inputs: list[tuple[Video, Fingerprints]] = []
        make_output_dir(self.settings.output_dir)

    def watch(self, job: Job, outcome: Outcome) -> None:
        self.progress.note(job.video.name, job.phase, outcome)

    def read_inputs(self) -> list[tuple[Video, Fingerprints]]:
        """The videos whose files can be read, and their hashes; the others are noted."""
        for warning in self.batch.warnings:
            self.progress.warn(warning)
        scan = find_videos(self.settings)
        for item in scan.unmatched:
            self.progress.note(item.name, "scan", Outcome("skipped", reason=item.reason))
        fingerprints, readable = fingerprint_inputs(scan.videos, self.settings), []
        for video in scan.videos:
            found = fingerprints[video.name]
            if isinstance(found, InputError):
                self.progress.note(video.name, "scan", Outcome("failed", reason=str(found)))
            else:
                readable.append((video, found))
        self.inputs = self._by_size(readable)
        return self.inputs

    def _by_size(self, videos: list[tuple[Video, Fingerprints]]) -> list[tuple[Video, Fingerprints]]:
        """The largest first where several are worked on at a time, so that all processes end together."""
        if len(self.slots) == 1:
            return videos
        limit = self.settings.processing.video_length
        return sorted(videos, key=lambda item: -pixel_count(item[0], limit))

    def run_phase(
        self,
        task: Any,
        jobs: Sequence[Job],
        *,
        refresh: bool = False,
        timeout: float | None = None,
        slots: tuple[Slot, ...] | None = None,
    ) -> dict[str, Outcome]:
        """Run the task for every job; an outcome for each video name.

        Args:
            refresh: run what is cached as well.
            timeout: seconds that one video may take.
            slots: where its processes work, if not where the engine does.
        """
        runner = self.runner if slots is None else replace(self.runner, slots=slots)
        return self._run_phase(runner, task, jobs, refresh=refresh, timeout=timeout)

    def run_light_phase(self, task: Any, jobs: Sequence[Job], *, quiet: bool = False) -> dict[str, Outcome]:
        """The same in threads of this process, for what takes a moment; `quiet`: only failures are told of."""
        watch = self._watch_failures if quiet else self.watch
        return self._run_phase(replace(self.runner, in_threads=True, watch=watch), task, jobs)

    def _watch_failures(self, job: Job, outcome: Outcome) -> None:
        if not outcome.succeeded and not self.progress.has_failed(job.video.name):  # else it was said already
            self.watch(job, outcome)

    def _run_phase(
        self,
        runner: PhaseRunner,
        task: Any,
        jobs: Sequence[Job],
        *,
        refresh: bool = False,
        timeout: float | None = None,
    ) -> dict[str, Outcome]:
        if not jobs:
            return {}
        retries, delay = self.settings.execution.task_retries, self.settings.execution.retry_delay
        pauses = [delay * 2**n for n in range(min(retries, _GROWING_PAUSES))]  # Prefect repeats the last one
        retried = task.with_options(retries=retries, retry_delay_seconds=pauses)
        bound = bind(retried, self.settings.output_dir, refresh=refresh)
        with self.progress.phase(task.name, len(jobs)):
            return runner.run(task.name, bound, jobs, timeout)

    def made(self, name: str, phase: str, make: Callable[[], AnyJob]) -> AnyJob | None:
        """A video's job for a phase; a video for which none can be made has failed in it."""
        job = attempt(make, name)
        if isinstance(job, InputError):
            self.progress.note(name, phase, Outcome("failed", reason=str(job)))
            return None
        return job

    def keep_existing(self, jobs: Sequence[RemovalJob], flag: str) -> dict[str, str]:
        """The videos whose result is there but is not what the cache would give, and their keys."""
        kept = {}
        for job in jobs:
            path = self.batch.result_path(job)
            if path.is_file() and find_record(job)[0] is None:
                key = attempt(partial(adopted_key, path), path)
                if isinstance(key, InputError):
                    self.watch(job, Outcome("failed", reason=str(key)))
                    continue
                kept[job.video.name] = key
                self.watch(job, Outcome("cached", reason=f"{path} was there and is kept ({flag})"))
        return kept

    def finish(self, path: Path | None = None, **options: Any) -> State[Any]:
        """Write the summary, the page and the artifacts, as `end_run` does; the flow's final state."""
        seconds = time.monotonic() - self.started
        summary = summarise(self.progress.videos(), self.settings, seconds, str(flow_run.id))
        return end_run(self.flow_name, self.settings, summary, path, **options)
