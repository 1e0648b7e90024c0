"""What every run does with its results: measure them, and make what its page shows of them."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flows.inputs import adopted_key, fingerprint_truth
from flows.phases import Outcome
from flows.removal_batch import Result
from flows.three_phases import ThreePhases
from lib.errors import InputError, attempt
from lib.report.playable import needs_copy
from tasks.evaluate import evaluate
from tasks.jobs import RemovalJob
from tasks.playable import playable
from tasks.preview import preview
from tasks.result_jobs import EvaluateJob, PlayableJob, PreviewJob
from tasks.truth_comparison import truth_comparison

if TYPE_CHECKING:
    from flows.run import Run

Results = Mapping[str, Result]  # by video


def look_at_results(run: "Run[Any]", results: Results) -> None:
    """Measure the results, and show them beside their sources and their ground truth."""
    preview_inputs(run)
    make_playable(run, results.values())
    make_playable(run, coarse_results(run))
    truths = read_truths(run, [result.job for result in results.values()])
    seen = {name: result for name, result in results.items() if name in truths}
    if run.batch.measuring.is_on:
        evaluate_results(run, seen, truths)
    if run.settings.products.save_comparison:
        compare_with_truth(run, seen, truths)


def preview_inputs(run: "Run[Any]") -> None:
    """What the page plays of sources and masks; a video that failed has them as well."""
    jobs = [
        PreviewJob(
            video=video,
            output_dir=run.settings.output_dir,
            video_fingerprint=fingerprints.video,
            mask_fingerprint=fingerprints.mask,
            processing=run.settings.processing,
            reading=dict(fingerprints.reading),
            watched=fingerprints.states,
        )
        for video, fingerprints in run.inputs
    ]
    run.run_light_phase(preview, jobs, quiet=True)


def make_playable(run: "Run[Any]", results: Iterable[Result]) -> None:
    """Copies for the page of what browsers do not play, of one result a video."""
    run.run_light_phase(playable, [job for result in results if (job := _copy_of(run, result))], quiet=True)


def coarse_results(run: "Run[Any]") -> list[Result]:
    """Those of phase 1, which the page plays beside the others; which key stands for each is not known."""
    if not isinstance(run, ThreePhases):
        return []
    jobs = [(job, run.batch.result_path(job)) for job in run.coarse_jobs.values()]
    return [Result(job, "", path) for job, path in jobs if path.is_file()]


def _copy_of(run: "Run[Any]", result: Result) -> PlayableJob | None:
    """None where the page plays the result itself."""
    if not needs_copy(result.path):
        return None
    key = attempt(lambda: result.key or adopted_key(result.path), result.path)
    if isinstance(key, InputError):  # gone or unreadable by now
        return None
    return PlayableJob(
        video=result.job.video, output_dir=run.settings.output_dir, result_key=key, result_path=result.path
    )


def evaluate_results(run: "Run[Any]", results: Results, truths: Mapping[str, str]) -> dict[str, Outcome]:
    """The numbers of each result; how measuring each video ended."""
    jobs = [run.batch.evaluate(result, truths[name]) for name, result in results.items()]
    return run.run_phase(evaluate, jobs, slots=run.batch.metric_slots)


def compare_with_truth(run: "Run[Any]", results: Results, truths: Mapping[str, str]) -> None:
    """The 2x2 videos of results whose ground truth is not the source itself."""
    jobs = [
        run.batch.truth_comparison(result, truths[name])
        for name, result in results.items()
        if truths[name] not in ("", result.job.video_fingerprint)
    ]
    run.run_light_phase(truth_comparison, jobs)


def read_truths(run: "Run[Any]", jobs: Iterable[RemovalJob]) -> dict[str, str]:
    """The ground truth's hash for each video, empty where there is none; what cannot be read is a failure."""
    found = {}
    for job in jobs:
        name = job.video.name
        try:
            found[name] = fingerprint_truth(job.video, job.video_fingerprint)
        except InputError as error:
            run.progress.note(name, EvaluateJob.phase, Outcome("failed", reason=str(error)))
    return found
