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
from typing import Any

from prefect import flow
from prefect.client.schemas import State
from prefect.runtime import flow_run

from flows.batch import Batch
from flows.captions import SHEET_FILE, caption_missing, write_sheet, write_sheet_of_files
from flows.ending import end_run
from flows.inputs import find_videos
from flows.phases import Outcome, outcome_of
from flows.report import summarise, summarise_skip
from flows.run import Run
from flows.shards import check_shards, run_shards, shard_summary, split
from lib.errors import InputError
from lib.settings import AutoRefineSettings
from tasks.caching import bind
from tasks.caption import caption
from tasks.coarse import coarse
from tasks.comparison import comparison
from tasks.jobs import CaptionJob, CoarseJob, RefineJob
from tasks.record_store import make_output_dir
from tasks.refine import refine


def _run_name() -> str:
    settings = AutoRefineSettings.model_validate(flow_run.parameters["settings"])
    return f"auto-refine {settings.output_dir.name} {flow_run.parameters.get('shard', '')}".rstrip()


@flow(name="auto-refine", flow_run_name=_run_name, persist_result=False)
def auto_refine(settings: AutoRefineSettings, shard: str = "") -> State[Any]:
    """Coarse, caption and refine for every video; ends Failed with the names of the videos that failed.

    Args:
        settings: everything that the run needs to know.
        shard: leave it empty; a run that splits its batch says here which part this is.

    Raises:
        InputError: nothing can be done at all: no videos, no caption environment, weights missing.
    """
    settings = settings.with_absolute_paths()
    if settings.execution.shards:
        return _in_parts(settings)
    run = _AutoRefineRun(Batch(settings))
    coarse_keys = run.coarse_phase()
    captioned = run.caption_phase(coarse_keys)
    refined = run.refine_phase(captioned)
    if settings.products.save_comparison:
        run.comparison_phase(refined, coarse_keys)
    return run.finish(shard_summary(settings.output_dir, flow_run.id) if shard else None)


def _in_parts(settings: AutoRefineSettings) -> State[Any]:
    """The batch as runs of other boxes' workers; this one only waits for them and tells the end."""
    started = time.monotonic()
    check_shards(settings)
    scan = find_videos(settings)
    make_output_dir(settings.output_dir)
    shards = split(settings, scan.videos)
    videos = [summarise_skip(item.name, item.reason) for item in scan.unmatched] + run_shards(shards)
    write_sheet_of_files(settings, videos)
    summary = summarise(videos, settings, time.monotonic() - started, str(flow_run.id))
    return end_run("auto-refine", settings, summary)


class _AutoRefineRun(Run[Batch]):
    """Each method is a phase, takes the videos that got so far and returns those that get on."""

    def __init__(self, batch: Batch) -> None:
        batch.check()
        super().__init__("auto-refine", batch)
        self.coarse_jobs: dict[str, CoarseJob] = {}

    def coarse_phase(self) -> dict[str, str]:
        """Phase 1; for each video that gets on, the key that stands for its coarse result."""
        jobs = [self.batch.coarse(video, fingerprints) for video, fingerprints in self.read_inputs()]
        self.coarse_jobs = {job.video.name: job for job in jobs}
        if not self.batch.needs_coarse:
            return dict.fromkeys(self.coarse_jobs, "")
        skip = self.settings.phase_control.skip_phase1_if_exists
        kept = self.keep_existing(jobs, "--skip_phase1_if_exists") if skip else {}
        todo = [job for job in jobs if job.video.name not in kept]
        outcomes = self.run_phase(coarse, todo, timeout=self.settings.execution.phase1_timeout)
        made = {job.video.name: job.cache_key for job in jobs if job.video.name in outcomes}
        return kept | {name: key for name, key in made.items() if outcomes[name].succeeded}

    def caption_phase(self, coarse_keys: dict[str, str]) -> list[str]:
        """Phase 2: what is missing is captioned in one batch; the names of videos with a usable prompt file."""
        jobs = [self.batch.caption(self.coarse_jobs[name], key) for name, key in coarse_keys.items()]
        if not jobs:
            return []
        with self.progress.phase("caption", len(jobs)):
            ends = caption_missing(self.batch, jobs)
            task = bind(caption, self.settings.output_dir)
            futures = [
                task.with_options(refresh_cache=job.video.name in ends).submit(job, ends.get(job.video.name))
                for job in jobs
            ]
            outcomes = {}
            for job, future in zip(jobs, futures, strict=True):
                future.wait()
                outcomes[job.video.name] = outcome_of(future.state)
                self.watch(job, outcomes[job.video.name])
        self._show_captions(jobs, outcomes)
        return [name for name, outcome in outcomes.items() if outcome.succeeded]

    def _show_captions(self, jobs: list[CaptionJob], outcomes: dict[str, Outcome]) -> None:
        page = self.settings.output_dir / SHEET_FILE
        try:
            write_sheet(page, jobs, outcomes)
        except OSError as error:  # it is for people: the videos go on without it
            self.progress.warn(f"{page}: the page of captions cannot be written ({error.strerror})")
        else:
            self.progress.say(f"all captions: {page}")

    def refine_phase(self, names: list[str]) -> dict[str, tuple[RefineJob, str]]:
        """Phase 3; for each video that gets on, its job and the key that stands for its result."""
        control = self.settings.phase_control
        jobs = {name: job for name in names if (job := self._refine_job(name))}
        skip = control.skip_phase3_if_exists and not control.force_refine
        kept = self.keep_existing(list(jobs.values()), "--skip_phase3_if_exists") if skip else {}
        todo = [job for name, job in jobs.items() if name not in kept]
        timeout = self.settings.execution.phase3_timeout
        outcomes = self.run_phase(refine, todo, refresh=control.force_refine, timeout=timeout)
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
            self.batch.comparison_of_phases(self.coarse_jobs[name], coarse_keys[name], job, key)
            for name, (job, key) in refined.items()
        ]
        self.run_phase(comparison, jobs, gpu=False)
