"""Remove objects from videos in three phases: coarse removal, a caption of the background, refined removal.

    python flows/auto_refine.py --dataset davis --video_root V --mask_root M --output_dir O

Without a configured Prefect API the script first brings up a server and a caption worker of its own, then runs itself
again as their client (`lib/runtime/launcher.py`).
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before prefect is imported: it reads its API's address only once
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # the checkout instead of this folder
    from flows.launch import main

    sys.exit(main(sys.argv[1:]))

import time
from collections.abc import Sequence
from typing import Any

from prefect import flow
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.client.schemas import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.batch import Batch, adopted_key, check_readiness, find_videos, fingerprint_inputs
from flows.phases import Outcome, PhaseRunner, outcome_of
from flows.report import Summary, summarise, table_rows, text_table, write_summary
from flows.run_progress import RunProgress
from lib.errors import InputError
from lib.settings import AutoRefineSettings
from lib.video.datasets import Video
from tasks.caching import bind
from tasks.caption import End, caption, caption_batch
from tasks.coarse import coarse
from tasks.comparison import comparison
from tasks.jobs import CaptionJob, CoarseJob, Job, RefineJob
from tasks.record_store import find_record
from tasks.refine import refine


def _run_name() -> str:
    settings = AutoRefineSettings.model_validate(flow_run.parameters["settings"])
    return f"auto-refine {settings.output_dir.name}"


@flow(name="auto-refine", flow_run_name=_run_name, persist_result=False)
def auto_refine(settings: AutoRefineSettings) -> State[Any]:
    """Coarse, caption and refine for every video; ends Failed with the names of the videos that failed.

    Raises:
        InputError: nothing can be done at all: no videos, no caption environment, weights missing.
    """
    run = _Run(settings.with_absolute_paths())
    coarse_keys = run.coarse_phase(run.find_videos())
    captioned = run.caption_phase(coarse_keys)
    refined = run.refine_phase(captioned)
    if settings.products.save_comparison:
        run.comparison_phase(refined, coarse_keys)
    return run.finish()


class _Run:
    """One run over a batch: each method is a phase, takes the videos that got so far and returns those that get on."""

    def __init__(self, settings: AutoRefineSettings) -> None:
        self.settings = settings
        self.started = time.monotonic()
        self.batch = Batch(settings)
        self.caption_env = check_readiness(self.batch)
        self.progress = RunProgress()
        self.coarse_jobs: dict[str, CoarseJob] = {}
        self.runner = PhaseRunner(
            state_dir=settings.output_dir / ".prefect",
            workers=settings.execution.max_workers or self.batch.remover.suggested_workers(),
            watch=self._watch,
        )

    def _watch(self, job: Job, outcome: Outcome) -> None:
        self.progress.note(job.video.name, job.phase, outcome)

    def find_videos(self) -> list[Video]:
        """The videos whose files can be read; the others are noted."""
        scan = find_videos(self.settings)
        for item in scan.unmatched:
            self.progress.note(item.name, "scan", Outcome("skipped", reason=item.reason))
        fingerprints = fingerprint_inputs(scan.videos)
        for video in scan.videos:
            found = fingerprints[video.name]
            if isinstance(found, InputError):
                self.progress.note(video.name, "scan", Outcome("failed", reason=str(found)))
            else:
                self.coarse_jobs[video.name] = self.batch.coarse(video, found)
        return [job.video for job in self.coarse_jobs.values()]

    def coarse_phase(self, videos: list[Video]) -> dict[str, str]:
        """Phase 1; for each video that gets on, the key that stands for its coarse result."""
        jobs = [self.coarse_jobs[video.name] for video in videos]
        if not self.batch.needs_coarse:
            return {job.video.name: "" for job in jobs}
        kept = self._keep_existing(jobs, self.settings.phase_control.skip_phase1_if_exists)
        outcomes = self._run(coarse, [job for job in jobs if job.video.name not in kept])
        made = {job.video.name: job.cache_key for job in jobs if job.video.name in outcomes}
        return kept | {name: key for name, key in made.items() if outcomes[name].succeeded}

    def caption_phase(self, coarse_keys: dict[str, str]) -> list[str]:
        """Phase 2: what is missing is captioned in one batch; the names of videos with a usable prompt file."""
        jobs = [self.batch.caption(self.coarse_jobs[name], key) for name, key in coarse_keys.items()]
        if not jobs:
            return []
        with self.progress.phase("caption", len(jobs)):
            ends = self._caption_missing(jobs)
            task = bind(caption, self.settings.output_dir)
            futures = [
                task.with_options(refresh_cache=job.video.name in ends).submit(job, ends.get(job.video.name))
                for job in jobs
            ]
            outcomes = {}
            for job, future in zip(jobs, futures, strict=True):
                future.wait()
                outcomes[job.video.name] = outcome_of(future.state)
                self._watch(job, outcomes[job.video.name])
        return [name for name, outcome in outcomes.items() if outcome.succeeded]

    def _caption_missing(self, jobs: list[CaptionJob]) -> dict[str, End]:
        """Run the caption pool for the cache misses; how each of them ended."""
        force = self.settings.phase_control.force_recaption
        missing = [job for job in jobs if not job.edited_sha256 and (force or find_record(job)[0] is None)]
        if not missing:
            return {}
        timeout = self.settings.caption_environment.caption_timeout
        state = caption_batch(missing, self.caption_env, timeout, force, return_state=True)
        if state.is_completed():
            return state.result()
        reason = outcome_of(state).reason
        return {job.video.name: {"error": f"the caption batch failed: {reason}"} for job in missing}

    def refine_phase(self, names: list[str]) -> dict[str, tuple[RefineJob, str]]:
        """Phase 3; for each video that gets on, its job and the key that stands for its result."""
        control = self.settings.phase_control
        jobs = {name: job for name in names if (job := self._refine_job(name))}
        skip = control.skip_phase3_if_exists and not control.force_refine
        kept = self._keep_existing(list(jobs.values()), skip)
        outcomes = self._run(refine, [job for name, job in jobs.items() if name not in kept], control.force_refine)
        made = {name: job.cache_key for name, job in jobs.items() if name in outcomes and outcomes[name].succeeded}
        return {name: (jobs[name], key) for name, key in (kept | made).items()}

    def _refine_job(self, name: str) -> RefineJob | None:
        try:
            return self.batch.refine(self.coarse_jobs[name])
        except InputError as error:
            self.progress.note(name, RefineJob.phase, Outcome("failed", reason=str(error)))
            return None

    def comparison_phase(self, refined: dict[str, tuple[RefineJob, str]], coarse_keys: dict[str, str]) -> None:
        """The 2x2 videos of everything that was refined."""
        jobs = [
            self.batch.comparison(self.coarse_jobs[name], coarse_keys[name], job, key)
            for name, (job, key) in refined.items()
        ]
        self._run(comparison, jobs)

    def _run(self, task: Any, jobs: list[Any], refresh: bool = False) -> dict[str, Outcome]:
        if not jobs:
            return {}
        retried = task.with_options(retries=self.settings.execution.task_retries)
        with self.progress.phase(task.name, len(jobs)):
            return self.runner.run(task.name, bind(retried, self.settings.output_dir, refresh=refresh), jobs)

    def _keep_existing(self, jobs: Sequence[CoarseJob | RefineJob], skip: bool) -> dict[str, str]:
        """With a skip flag: the videos whose result is there but is not what the cache would give, and their keys."""
        kept = {}
        for job in jobs if skip else []:
            path = self.batch.result_path(job)
            if path.is_file() and find_record(job)[0] is None:
                kept[job.video.name] = adopted_key(path)
                reason = f"{path} was there and is kept (--skip_phase{1 if job.phase == 'coarse' else 3}_if_exists)"
                self._watch(job, Outcome("cached", reason=reason))
        return kept

    def finish(self) -> State[Any]:
        """Write summary.json and the table; the flow's final state."""
        run_id = str(flow_run.id)
        summary = summarise(self.progress.videos(), self.settings, time.monotonic() - self.started, run_id)
        path = write_summary(summary, self.settings.output_dir)
        create_table_artifact(table_rows(summary), key="auto-refine-summary", description=f"Written to {path}")
        create_link_artifact(self.settings.output_dir.as_uri(), link_text="result folder", key="result-folder")
        print(text_table(summary), flush=True)
        return _final_state(summary, strict=self.settings.phase_control.strict)


def _final_state(summary: Summary, *, strict: bool) -> State[Any]:
    failed, skipped = summary.names("failed"), summary.names("skipped")
    count = len(summary.videos)
    if failed:
        return Failed(message=f"{len(failed)} of {count} videos failed: {', '.join(failed)}")
    if skipped and strict:
        return Failed(message=f"{len(skipped)} of {count} videos skipped: {', '.join(skipped)}")
    return Completed(message=f"{count - len(skipped)} of {count} videos have a result")
