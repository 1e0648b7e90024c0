"""What a study leaves: `study/table.csv` and `.json`, plots, the count of votes, and the page with all variants."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from flows.removal_batch import Result
from flows.report import Summary
from flows.report_page import REPORT_FILE, gallery_video, labelled, result_from_files, scores_of_set
from flows.result_phases import coarse_results, make_playable
from flows.run_page import changed_settings, local_time
from flows.study_run import StudyRun, VariantEnd
from flows.variants import Variant
from lib.errors import InputError
from lib.metrics.data_set import DataSetScores
from lib.report import gallery
from lib.report.gallery import Gallery, VariantResult, write_gallery
from lib.settings.study import StudySettings
from lib.study.plots import write_plots
from lib.study.table import StudyRow, StudyTable, in_words
from lib.study.votes import count_votes, write_tally

STUDY_DIR = "study"
Ends = Mapping[str, Mapping[str, VariantEnd]]  # by variant and video


def write_study(run: StudyRun, ends: Ends, summary: Summary) -> Path:
    """Write all of it below the output directory; the page."""
    settings, plan = run.settings, run.batch.plan
    make_copies(run, ends)
    results = {
        variant.key: {name: _result(variant, name, end, settings) for name, end in ends[variant.key].items()}
        for variant in plan.variants
    }
    sets = {key: scores_of_set(list(found.values())) for key, found in results.items()}
    table = _table(run, results, ends, sets)
    folder = settings.output_dir / STUDY_DIR
    files = {
        "table (CSV)": table.write_csv(folder / "table.csv"),
        "table (JSON)": table.write_json(folder / "table.json"),
    }
    plots = write_plots(table, folder / "plots", _numbers(plan.variants))
    remarks = [*run.batch.warnings, *dict.fromkeys(note for found in sets.values() for note in found.notes)]
    try:
        tally = count_votes(folder / "votes", {variant.key: variant.title for variant in plan.variants})
    except InputError as error:
        tally, remarks = None, [*remarks, f"votes are not counted: {error}"]
    if tally:
        files["votes"] = write_tally(tally, folder / "votes.json")
        remarks += tally.in_words()
    print(table.text(), flush=True)
    differences = table.differences()
    named = {metric.key: metric for metric in table.metrics}
    page = Gallery(
        title=f"{settings.study.study} {settings.output_dir.name}",
        finished_at=local_time(datetime.fromisoformat(summary.finished_at)),
        seconds=summary.seconds,
        videos=[
            gallery_video(video, settings, [found[video.name] for found in results.values() if video.name in found])
            for video in summary.videos
        ],
        variants=[gallery.Variant(variant.key, variant.title, variant.description) for variant in plan.variants],
        metrics=table.metrics,
        means=table.of_set,
        unavailable=labelled({key: why for found in sets.values() for key, why in found.unavailable.items()}),
        baseline=plan.baseline,
        differences={
            variant: {key: in_words(difference, named[key]) for key, difference in found.items()}
            for variant, found in differences.items()
        },
        settings=changed_settings(settings),
        links=files | {"summary": settings.output_dir / "summary.json", "result folder": settings.output_dir},
        remarks=remarks,
        plots=plots,
    )
    return write_gallery(page, settings.output_dir / REPORT_FILE)


def make_copies(run: StudyRun, ends: Ends) -> None:
    """What the page plays instead of results that browsers do not play; a shared result has one copy."""
    make_playable(run, coarse_results(run))
    for variant in run.batch.plan.variants:
        own = [end for end in ends[variant.key].values() if not end.same_as]
        make_playable(run, [Result(end.job, end.job.cache_key, end.result) for end in own if end.job and end.result])


def _result(variant: Variant, name: str, end: VariantEnd, settings: StudySettings) -> VariantResult:
    record = end.outcome.record
    if end.result is None:
        return VariantResult(variant.key, end.outcome.status, reason=end.outcome.reason)
    return result_from_files(
        variant.key,
        end.result,
        name,
        end.outcome.status,
        settings,
        same_as=end.same_as,
        judgement=end.judgement,
        seconds={"removal": record.seconds} if record else {},
        notes=record.notes if record else (),
        files=[end.result],
    )


def _table(
    run: StudyRun,
    results: Mapping[str, Mapping[str, VariantResult]],
    ends: Ends,
    sets: Mapping[str, DataSetScores],
) -> StudyTable:
    plan = run.batch.plan
    return StudyTable(
        title=f"{run.settings.study.study} {run.settings.output_dir.name}",
        variants={variant.key: variant.title for variant in plan.variants},
        baseline=plan.baseline,
        rows=[
            _row(name, results[variant.key][name], end)
            for variant in plan.variants
            for name, end in sorted(ends[variant.key].items())
        ],
        seed=run.settings.processing.seed,
        of_set={key: found.means for key, found in sets.items()},
        sweep="weight of the text (guidance scale)" if _numbers(plan.variants) else "",
    )


def _row(name: str, result: VariantResult, end: VariantEnd) -> StudyRow:
    return StudyRow(
        variant=result.variant,
        video=name,
        status=end.outcome.status,
        reason=end.outcome.reason,
        same_as=end.same_as,
        seconds=sum(result.seconds.values()),
        values=dict(result.values),
        unavailable=dict(result.unavailable),
    )


def _numbers(variants: Sequence[Variant]) -> dict[str, float]:
    """Where the variants of a sweep stand on it."""
    return {variant.key: variant.number for variant in variants if variant.number is not None}
