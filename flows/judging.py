"""A model's opinion of the results (--judge): what is missing is judged in the caption pool."""

from collections.abc import Sequence
from typing import Any

from flows.batch import Batch
from flows.model_batches import record_ends, run_batches
from flows.phases import Outcome
from flows.result_phases import Results
from flows.run import Run
from tasks.caption import End
from tasks.judge import is_judged, judge, judge_batch
from tasks.result_jobs import JudgeJob


def judge_results(run: Run[Any], results: Results) -> dict[str, Outcome]:
    """Judge the results of a run whose batch has a captioner; how each ended, by the names of `results`.

    The record's facts hold "verdict", "summary" (the verdict with its frames) and "model".
    """
    jobs = {name: run.batch.judge(result) for name, result in results.items()}
    if not jobs:
        return {}
    with run.progress.phase(JudgeJob.phase, len(jobs)):
        return record_ends(run, judge, jobs, judge_missing(run.batch, list(jobs.values())))


def judge_missing(batch: Batch, jobs: Sequence[JudgeJob]) -> dict[str, End]:
    """Judge what has no judgement yet; how each ended, by `JudgeJob.name`."""
    missing = list({job.name: job for job in jobs if not is_judged(job)}.values())
    if not missing:
        return {}
    timeout = batch.settings.caption_environment.caption_timeout
    return run_batches(
        batch.caption_gpus,
        missing,
        lambda share, gpu: judge_batch.submit(share, batch.caption_env, batch.captioner, timeout, gpu),
    )
