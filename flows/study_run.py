"""The phases of a study: coarse and captions once, then every variant of every video, each measured."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from flows.judging import judge_results
from flows.phases import Outcome
from flows.removal_batch import Result
from flows.result_phases import evaluate_results, preview_inputs, read_truths
from flows.study_batch import StudyBatch
from flows.three_phases import ThreePhases
from flows.variants import Variant, phase_of_variant
from lib.errors import InputError, attempt
from tasks.coarse import coarse
from tasks.jobs import CoarseJob, Job, RemovalJob, VariantJob
from tasks.result_jobs import SCORES_FILE
from tasks.variant import variant as variant_task


@dataclass
class VariantEnd:
    """What became of one video in one variant."""

    outcome: Outcome
    job: RemovalJob | None = None
    result: Path | None = None
    same_as: str = ""  # title of the variant that made it
    scores: Path | None = None  # metrics.json
    judgement: str = ""  # what a model says of it


@dataclass(frozen=True)
class _Made:
    """A result that is there, and who made it."""

    title: str
    end: VariantEnd


class StudyRun(ThreePhases[StudyBatch]):
    """Each variant is a phase of its own; what another one has made already is not made again."""

    def __init__(self, batch: StudyBatch) -> None:
        super().__init__("study", batch)
        self.ends: dict[str, dict[str, VariantEnd]] = {}
        self._made: dict[str, _Made] = {}  # by the job's key
        self._truths: dict[str, str] = {}
        self._variant: Variant | None = None

    def run(self) -> dict[str, dict[str, VariantEnd]]:
        """All phases; by variant and video, what became of it."""
        coarse_keys = self.coarse_phase()
        captioned = self.caption_phase(coarse_keys) if self.batch.needs_captions else []
        preview_inputs(self)
        self._truths = read_truths(self, [self.coarse_jobs[name] for name in coarse_keys])
        for variant in self.batch.plan.variants:
            self._variant = variant
            self.ends[variant.key] = self.variant_phase(
                variant, captioned if variant.words == "caption" else list(coarse_keys)
            )
            self.look_at_variant(self.ends[variant.key])
        self._variant = None
        return self.ends

    def watch(self, job: Job, outcome: Outcome) -> None:
        """Say which variant a step was for."""
        phase = job.phase
        if self._variant is not None:
            phase = self._variant.key if isinstance(job, RemovalJob) else phase_of_variant(phase, self._variant)
        self.progress.note(job.video.name, phase, outcome)

    def variant_phase(self, variant: Variant, names: list[str]) -> dict[str, VariantEnd]:
        """One variant of the videos."""
        ends, jobs = {}, {}
        for name in names:
            job = attempt(partial(self.batch.variant, variant, self.coarse_jobs[name]), name)
            if isinstance(job, InputError):
                ends[name] = VariantEnd(Outcome("failed", reason=str(job)))
                self.progress.note(name, variant.key, ends[name].outcome)
            else:
                jobs[name] = job
        todo = [job for job in jobs.values() if job.cache_key not in self._made]
        outcomes = self._remove(variant, todo)
        for name, job in jobs.items():
            if name in outcomes:
                ends[name] = self._end_of(job, outcomes[name])
                self._made[job.cache_key] = _Made(variant.title, ends[name])
            else:
                made = self._made[job.cache_key]
                ends[name] = replace(made.end, same_as=made.title)
        return ends

    def _remove(self, variant: Variant, jobs: list[VariantJob | CoarseJob]) -> dict[str, Outcome]:
        timeout, refresh = self.settings.execution.phase3_timeout, self.settings.phase_control.force_refine
        plain = [job for job in jobs if isinstance(job, CoarseJob)]
        guided = [job for job in jobs if isinstance(job, VariantJob)]
        done = self.run_phase(coarse, plain, timeout=timeout)
        named = variant_task.with_options(name=variant.key)
        return done | self.run_phase(named, guided, timeout=timeout, refresh=refresh)

    def _end_of(self, job: RemovalJob, outcome: Outcome) -> VariantEnd:
        return VariantEnd(outcome, job, self.batch.file_of(outcome.record) if outcome.record else None)

    def look_at_variant(self, ends: dict[str, VariantEnd]) -> None:
        """Measure and judge a variant; what is said of a shared result is its maker's."""
        own = {name: end for name, end in ends.items() if name in self._truths and not end.same_as}
        results = {
            name: Result(end.job, end.job.cache_key, end.result) for name, end in own.items() if end.job and end.result
        }
        if self.batch.measuring.is_on:
            for name, outcome in evaluate_results(self, results, self._truths).items():
                if outcome.succeeded:
                    ends[name].scores = results[name].path.with_name(SCORES_FILE)
        if self.settings.judge.judge:
            for name, outcome in judge_results(self, results).items():
                if outcome.record:
                    ends[name].judgement = str(outcome.record.facts["summary"])
