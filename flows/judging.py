"""A model's opinion of the results (--judge): what is missing is judged in one batch of the caption pool."""

from collections.abc import Sequence
from typing import Any

from deployments.child_runs import ending_children
from flows.batch import Batch
from flows.captions import lease_gpus
from flows.phases import Outcome, outcome_of
from flows.result_phases import Results
from flows.run import Run
from tasks.caching import bind
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
        ends = judge_missing(run.batch, list(jobs.values()))
        task, outcomes = bind(judge, run.settings.output_dir), {}
        futures = {
            name: task.with_options(refresh_cache=job.name in ends).submit(job, ends.get(job.name))
            for name, job in jobs.items()
        }
        for name, future in futures.items():
            future.wait()
            outcomes[name] = outcome_of(future.state)
            run.watch(jobs[name], outcomes[name])
    return outcomes


def judge_missing(batch: Batch, jobs: Sequence[JudgeJob]) -> dict[str, End]:
    """Judge what has no judgement yet, in one process; how each ended, by `JudgeJob.name`."""
    missing = list({job.name: job for job in jobs if not is_judged(job)}.values())
    if not missing:
        return {}
    timeout = batch.settings.caption_environment.caption_timeout
    with lease_gpus(batch.caption_gpus, min(len(batch.caption_gpus), 1)) as gpus, ending_children():
        gpu = gpus[0] if gpus else None
        future = judge_batch.submit(missing, batch.caption_env, batch.captioner, timeout, gpu)
        future.wait()
    if future.state.is_completed():
        return future.state.result()
    reason = f"the batch of judgements failed: {outcome_of(future.state).reason}"
    return {job.name: {"error": reason} for job in missing}
