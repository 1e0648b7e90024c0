"""The three phases over a batch of videos: coarse removal, a caption of the background, refined removal."""

from functools import partial
from typing import TypeVar

from flows.batch import Batch
from flows.captions import SHEET_FILE, caption_missing, write_sheet
from flows.model_batches import record_ends
from flows.phases import Outcome
from flows.run import Run
from flows.slots import cpu_slots
from tasks.caption import caption
from tasks.coarse import coarse
from tasks.comparison import comparison
from tasks.jobs import CaptionJob, CoarseJob, RefineJob
from tasks.refine import refine

AnyBatch = TypeVar("AnyBatch", bound=Batch)


class ThreePhases(Run[AnyBatch]):
    """Each method is a phase, takes the videos that got so far and returns those that get on."""

    def __init__(self, flow_name: str, batch: AnyBatch) -> None:
        batch.check()
        super().__init__(flow_name, batch)
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
        """Phase 2: what is missing is captioned; the names of videos with a usable prompt file."""
        found = {
            name: self.made(name, CaptionJob.phase, partial(self.batch.caption, self.coarse_jobs[name], key))
            for name, key in coarse_keys.items()
        }
        jobs = [job for job in found.values() if job]
        if not jobs:
            return []
        with self.progress.phase("caption", len(jobs)):
            ends = caption_missing(self.batch, jobs)
            outcomes = record_ends(self, caption, {job.name: job for job in jobs}, ends)
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
        found = {
            name: self.made(name, RefineJob.phase, partial(self.batch.refine, self.coarse_jobs[name])) for name in names
        }
        jobs = {name: job for name, job in found.items() if job}
        skip = control.skip_phase3_if_exists and not control.force_refine
        kept = self.keep_existing(list(jobs.values()), "--skip_phase3_if_exists") if skip else {}
        todo = [job for name, job in jobs.items() if name not in kept]
        timeout = self.settings.execution.phase3_timeout
        outcomes = self.run_phase(refine, todo, refresh=control.force_refine, timeout=timeout)
        made = {name: job.cache_key for name, job in jobs.items() if name in outcomes and outcomes[name].succeeded}
        return {name: (jobs[name], key) for name, key in (kept | made).items()}

    def comparison_phase(self, refined: dict[str, tuple[RefineJob, str]], coarse_keys: dict[str, str]) -> None:
        """The 2x2 videos of everything that was refined."""
        jobs = [
            self.batch.comparison_of_phases(self.coarse_jobs[name], coarse_keys[name], job, key)
            for name, (job, key) in refined.items()
        ]
        self.run_phase(comparison, jobs, slots=cpu_slots(len(self.slots)))
