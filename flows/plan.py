"""What the next run would do for each video and phase, found out without starting anything."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from flows.batch import Batch, is_captioned
from flows.inputs import Fingerprints, adopted_key, find_videos, fingerprint_inputs, fingerprint_truth
from flows.removal_batch import RemovalBatch, Result
from flows.remove_batch import RemoveBatch
from flows.study_batch import StudyBatch
from flows.variants import Variant, phase_of_variant
from lib.errors import InputError, attempt
from lib.notes import Note, check_notes
from lib.report.notes import each_once
from lib.settings import AutoRefineSettings, RemoveSettings, RunSettings
from lib.settings.study import StudySettings
from lib.video.datasets import Video
from tasks.jobs import CaptionJob, CoarseJob, Job, RefineJob, RemoveJob, VariantJob
from tasks.record_store import find_record
from tasks.result_jobs import EvaluateJob, JudgeJob

PlanState = Literal["cached", "to do", "blocked"]


@dataclass(frozen=True)
class Step:
    """One phase of one video. `uncertain`: it is to do only if the caption turns out different from before."""

    video: str
    phase: str
    state: PlanState
    why: str = ""
    uncertain: bool = False
    notes: tuple[Note, ...] = ()  # on its video, with the last of the video's steps


def make_plan(settings: RunSettings) -> list[Step]:
    """The steps of the next run with these settings, videos in order, phases in order.

    A prior is no step of its own: it is made where coarse or refine need it and it is not there.

    Raises:
        InputError: the run could not even start.
    """
    planner, strict = _planner(settings), settings.input_rules.strict_inputs
    scan = find_videos(settings)
    fingerprints = fingerprint_inputs(scan.videos, settings)
    steps = [Step(item.name, "scan", "blocked", item.reason) for item in scan.unmatched]
    for video in scan.videos:
        found = fingerprints[video.name]
        if isinstance(found, InputError):
            steps.append(Step(video.name, "scan", "blocked", str(found)))
        else:
            steps += _steps_of(planner, video, found, strict=strict)
    return sorted(steps, key=lambda step: step.video)


def _steps_of(planner: "Planner", video: Video, fingerprints: Fingerprints, *, strict: bool) -> list[Step]:
    """A video that cannot be planned is blocked, whatever the reason: the others have their plan."""
    path, notes = video.video_path, each_once(fingerprints.notes)
    steps = attempt(lambda: _planned(planner, video, fingerprints, strict=strict), path)
    if isinstance(steps, InputError):
        told = str(steps)
        notes = tuple(note for note in notes if note.text not in told)
        steps = [Step(video.name, "scan", "blocked", told)]
    return [*steps[:-1], replace(steps[-1], notes=notes)]


def _planned(planner: "Planner", video: Video, fingerprints: Fingerprints, *, strict: bool) -> list[Step]:
    check_notes(video.video_path, fingerprints.notes, strict=strict)
    return planner.steps(video, fingerprints)


def _planner(settings: RunSettings) -> "Planner":
    if isinstance(settings, StudySettings):
        return StudyPlanner(StudyBatch(settings))
    if isinstance(settings, AutoRefineSettings):
        return ThreePhasesPlanner(Batch(settings))
    if isinstance(settings, RemoveSettings):
        return RemovePlanner(settings)
    raise TypeError(f"{type(settings).__name__} has no plan")


def plan_text(steps: list[Step]) -> str:
    """The plan as a table, each video's notes below its steps, with counts at the end."""
    width = max((len(step.video) for step in steps), default=0)
    lines: list[str] = []
    for step in steps:
        lines.append(f"{step.video:<{width}}  {step.phase:<10}  {step.state:<7}  {step.why}".rstrip())
        lines += [f"{step.video:<{width}}  {'note':<10}  {note.text}" for note in step.notes]
    counts = [f"{sum(step.state == state for step in steps)} {state}" for state in ("cached", "to do", "blocked")]
    return "\n".join([*lines, ", ".join(counts)])


class ThreePhasesPlanner:
    """Of `flows/auto_refine.py`."""

    def __init__(self, batch: Batch) -> None:
        self.batch, self.settings = batch, batch.settings
        batch.check()

    def steps(self, video: Video, fingerprints: Fingerprints) -> list[Step]:
        control = self.settings.phase_control
        coarse_job, coarse_key = self.batch.coarse(video, fingerprints), ""
        steps = []
        if self.batch.needs_coarse:
            step, coarse_key = self._removal(coarse_job, control.skip_phase1_if_exists)
            steps.append(step)
        caption_job = self.batch.caption(coarse_job, coarse_key)
        caption_step = self._caption(caption_job)
        refine_step, refine_key, refine_job = self._refine(coarse_job, caption_job, caption_step)
        steps += [caption_step, refine_step]
        if self.settings.products.save_comparison:
            steps.append(self._comparison(coarse_job, coarse_key, refine_job, refine_key, refine_step))
        return steps + self._looks(refine_step, self.batch.result(refine_job, refine_key) if refine_job else None)

    def _looks(self, removal: Step, result: Result | None) -> list[Step]:
        """What is done with a result: measuring and judging."""
        steps = [_evaluation(self.batch, removal, result)] if self.batch.measuring.is_on else []
        if self.settings.judge.judge:
            steps.append(self._judgement(removal, result))
        return steps

    def _judgement(self, removal: Step, result: Result | None) -> Step:
        if result is None or removal.state == "blocked":
            return _waiting(JudgeJob.phase, removal)
        return _after(removal, _looked_up(self.batch.judge(result)))

    def _removal(self, job: CoarseJob | RefineJob, keep: bool) -> tuple[Step, str]:
        path = self.batch.result_path(job)
        step = _looked_up(job)
        if step.state == "to do" and keep and path.is_file():
            return Step(step.video, step.phase, "cached", f"{path} is there and is kept"), adopted_key(path)
        return step, job.cache_key

    def _caption(self, job: CaptionJob) -> Step:
        if self.settings.phase_control.force_recaption:
            return Step(job.video.name, job.phase, "to do", "--force_recaption")
        if job.edited_sha256 and find_record(job)[0] is None:
            return Step(job.video.name, job.phase, "to do", f"check {job.prompt_file}, which a person wrote or edited")
        step = _looked_up(job)
        if step.state == "to do" and is_captioned(job):
            return Step(job.video.name, job.phase, "to do", f"check {job.prompt_file}, which an earlier run wrote")
        return step

    def _refine(self, coarse: CoarseJob, caption: CaptionJob, caption_step: Step) -> tuple[Step, str, RefineJob | None]:
        video = coarse.video.name
        control = self.settings.phase_control
        rewritten = caption_step.state == "to do" and (control.force_recaption or not is_captioned(caption))
        try:
            job = self.batch.refine(coarse)
        except InputError as error:
            if rewritten:
                return Step(video, RefineJob.phase, "to do", "waits for its caption", uncertain=True), "", None
            return Step(video, RefineJob.phase, "blocked", str(error)), "", None
        if control.force_refine:
            return Step(video, job.phase, "to do", "--force_refine"), job.cache_key, job
        step, key = self._removal(job, control.skip_phase3_if_exists)
        if rewritten:
            step = Step(video, job.phase, step.state, "unless its new caption differs", uncertain=True)
        return step, key, job

    def _comparison(
        self, coarse: CoarseJob, coarse_key: str, refine: RefineJob | None, refine_key: str, refine_step: Step
    ) -> Step:
        if refine is None or refine_step.state == "blocked":
            state: PlanState = "blocked" if refine_step.state == "blocked" else "to do"
            return Step(coarse.video.name, "comparison", state, "waits for the refined video", refine_step.uncertain)
        return _looked_up(self.batch.comparison_of_phases(coarse, coarse_key, refine, refine_key))


class StudyPlanner(ThreePhasesPlanner):
    """Of `flows/study.py`. A variant that comes to the same as another one is no step of its own."""

    def __init__(self, batch: StudyBatch) -> None:
        super().__init__(batch)
        self.study = batch

    def steps(self, video: Video, fingerprints: Fingerprints) -> list[Step]:
        coarse, coarse_key, steps = self.study.coarse(video, fingerprints), "", []
        if self.study.needs_coarse:
            step, coarse_key = self._removal(coarse, self.settings.phase_control.skip_phase1_if_exists)
            steps.append(step)
        caption = self._caption(self.study.caption(coarse, coarse_key)) if self.study.needs_captions else None
        if caption:
            steps.append(caption)
        made = {coarse.cache_key: steps[0]} if coarse_key == coarse.cache_key else {}
        seen: set[str] = set()
        for variant in self.study.plan.variants:
            job, step = self._variant(variant, coarse, caption)
            if job is None:
                steps.append(step)
            elif job.cache_key not in seen:
                seen.add(job.cache_key)
                steps += [] if job.cache_key in made else [step]
                steps += self._looks_at_variant(variant, job, made.get(job.cache_key, step))
        return steps

    def _variant(
        self, variant: Variant, coarse: CoarseJob, caption: Step | None
    ) -> tuple[VariantJob | CoarseJob | None, Step]:
        waits = variant.words == "caption" and caption is not None and caption.state == "to do"
        try:
            job = self.study.variant(variant, coarse)
        except InputError as error:
            state: PlanState = "to do" if waits else "blocked"
            return None, Step(coarse.video.name, variant.key, state, str(error), uncertain=waits)
        return job, replace(_looked_up(job), phase=variant.key, uncertain=waits)

    def _looks_at_variant(self, variant: Variant, job: VariantJob | CoarseJob, step: Step) -> list[Step]:
        record, _ = find_record(job)
        path = self.study.file_of(record) if record else self.study.result_path(job)
        looks = self._looks(step, Result(job, job.cache_key, path))
        return [replace(look, phase=phase_of_variant(look.phase, variant)) for look in looks]


class RemovePlanner:
    """Of `flows/remove.py`."""

    def __init__(self, settings: RemoveSettings) -> None:
        self.settings = settings
        self.batch = RemoveBatch(settings)
        self.batch.check()

    def steps(self, video: Video, fingerprints: Fingerprints) -> list[Step]:
        try:
            job = self.batch.remove(video, fingerprints)
        except InputError as error:
            return [Step(video.name, RemoveJob.phase, "blocked", str(error))]
        forced = Step(video.name, job.phase, "to do", "--force") if self.settings.control.force else None
        steps = [forced or _looked_up(job)]
        if self.settings.products.save_comparison:
            steps.append(_looked_up(self.batch.comparison(job, job.cache_key)))
        if self.batch.measuring.is_on:
            steps.append(_evaluation(self.batch, steps[0], self.batch.result(job, job.cache_key)))
        return steps


Planner = ThreePhasesPlanner | RemovePlanner


def _waiting(phase: str, removal: Step) -> Step:
    """What looks at a result that is not there yet, or will not be."""
    state: PlanState = "blocked" if removal.state == "blocked" else "to do"
    return Step(removal.video, phase, state, "waits for the result", removal.uncertain)


def _evaluation(batch: RemovalBatch[Any], removal: Step, result: Result | None) -> Step:
    """Measuring comes after its removal."""
    if result is None or removal.state == "blocked":
        return _waiting(EvaluateJob.phase, removal)
    try:
        truth = fingerprint_truth(result.job.video, result.job.video_fingerprint)
    except InputError as error:
        return Step(removal.video, EvaluateJob.phase, "blocked", str(error))
    return _after(removal, _looked_up(batch.evaluate(result, truth)))


def _after(removal: Step, step: Step) -> Step:
    """A step that is as uncertain as what it follows."""
    return replace(step, uncertain=removal.uncertain)


def _looked_up(job: Job) -> Step:
    record, why = find_record(job)
    return Step(job.video.name, job.phase, "cached" if record else "to do", why)
